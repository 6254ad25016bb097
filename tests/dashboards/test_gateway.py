"""The door before Streamlit, with a small application in Streamlit's place that says what reached it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value, decode_signed_value

from dashboards.access.gateway import Gateway
from dashboards.access.headers import Headers, policy
from dashboards.access.pages import ENTRIES, PAGES
from dashboards.access.server import INDEX, BehindProxies, app_of
from ruam.access import Role, load_table
from ruam.audit import AuditLog
from ruam.home import DataHome
from ruam.provider import Provider
from ruam.sessions import Sessions
from ruam.settings import Settings

SIGNED_WITH = "between the gateway and Streamlit"
PUBLIC = "https://ruam.example"
STREAM = "wss://ruam.example/_stcore/stream"
USER = "_streamlit_user"
SESSION = "__Host-ruam_session"
CLAIMS = {"iss": "https://login.example", "sub": "1100", "name": "Somchai", "email": "somchai@example.go.th", "iat": 1}


def user_in(cookies: dict[str, str]) -> dict[str, Any] | None:
    decoded = decode_signed_value(SIGNED_WITH, USER, cookies.get(USER, ""))
    return json.loads(decoded) if decoded else None


async def anything(request: Request) -> Response:
    return JSONResponse({"user": user_in(request.cookies), "cookies": request.cookies, "query": request.url.query})


async def callback(request: Request) -> Response:
    """As Streamlit answers the provider: who signed in is in cookies, and the way leads to the first page."""
    claims = json.loads(request.query_params.get("claims", "null"))
    answer = RedirectResponse("/", 302)
    if claims:
        told = json.dumps(claims | {"origin": PUBLIC, "is_logged_in": True, "provider": "default"})
        answer.set_cookie(USER, create_signed_value(SIGNED_WITH, USER, told).decode(), httponly=True, max_age=2_592_000)
        answer.set_cookie("_streamlit_user_tokens", "the ID token", httponly=True)
    return answer


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(user_in(websocket.cookies))
    await websocket.close()


INNER = Starlette(
    routes=[
        Route("/oauth2callback", callback),
        WebSocketRoute("/_stcore/stream", socket),
        Route("/{path:path}", anything, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
)


@pytest.fixture
def home(tmp_path: Path) -> DataHome:
    return DataHome(tmp_path)


def provider() -> Provider:
    said = {"client_id": "ruam", "client_secret": "-", "metadata_url": "https://login.example/.well-known/x"}
    return Provider.model_validate(said | {"public_url": PUBLIC})


def client_of(home: DataHome, *, demo: bool = False) -> TestClient:
    app: ASGIApp = Gateway(INNER, home, load_table(None), SIGNED_WITH, None if demo else provider())
    app = Headers(app, policy(INDEX))
    return TestClient(app, base_url="http://127.0.0.1:8501" if demo else PUBLIC, follow_redirects=False)


@pytest.fixture
def client(home: DataHome) -> Iterator[TestClient]:
    with client_of(home) as client:
        yield client


def sign_in(client: TestClient, **changes: object) -> str:
    """Come back from the provider; gives the token of the session."""
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["R04"], "exp": time.time() + 3600} | changes
    answer = client.get("/oauth2callback", params={"claims": json.dumps(claims)})
    assert answer.status_code == 302
    return str(client.cookies[SESSION])


@pytest.mark.parametrize("path", ["/", *(f"/{entry.name}" for entry in ENTRIES[1:]), "/utilization?area=R04"])
def test_every_page_asks_to_sign_in_first(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert "/auth/login" in answer.text


@pytest.mark.parametrize("path", ["/media/0123.csv", "/_stcore/host-config"])
def test_files_and_settings_need_a_session(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401
    sign_in(client)
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/_stcore/agent/openapi.json",
        "/_stcore/agent/interact",
        "/_stcore/script-health-check",
        "/_stcore/upload_file/a/b",
        "/_stcore/bidi-components/x",
        "/component/x",
        "/nothing",
        "/utilization/_stcore/stream",
        "/static/../secrets",
        "/_stcore/health/x",
    ],
)
def test_what_is_not_named_is_closed_also_for_who_is_signed_in(client: TestClient, path: str) -> None:
    sign_in(client)
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/_stcore/health", "/static/js/index.js", "/app/static/fonts/x.woff2"])
def test_health_and_static_files_are_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_is_sent_to_a_page(client: TestClient, method: str) -> None:
    sign_in(client)
    assert client.request(method, "/").status_code == 405


def test_the_browser_gets_a_token_and_nothing_of_the_person(client: TestClient) -> None:
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["R04"], "exp": time.time() + 3600}
    answer = client.get("/oauth2callback", params={"claims": json.dumps(claims)})
    cookies = [SimpleCookie(header) for header in answer.headers.get_list("set-cookie")]
    names = {name for cookie in cookies for name in cookie}
    assert names == {SESSION, "__Host-ruam_back"}
    morsel = next(cookie[SESSION] for cookie in cookies if SESSION in cookie)
    assert (morsel["secure"], morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, True, "Lax", "/")
    assert not morsel["domain"]
    for secret in ("Somchai", "1100", "analyst"):
        assert secret not in str(answer.headers)


def test_streamlit_gets_who_signed_in_from_the_session_alone(client: TestClient) -> None:
    forged = create_signed_value(SIGNED_WITH, USER, json.dumps({"sub": "boss", "is_logged_in": True})).decode()
    assert client.get("/static/x", cookies={USER: forged}).json()["user"] is None
    sign_in(client)
    user = client.get("/", cookies={USER: forged}).json()["user"]
    assert (user["name"], user["roles"], user["origin"], user["is_logged_in"]) == ("Somchai", ["analyst"], PUBLIC, True)
    # What no page needs was not kept.
    assert "email" not in user


def test_a_cookie_replayed_after_signing_out_opens_nothing(client: TestClient, home: DataHome) -> None:
    token = sign_in(client)
    with client.websocket_connect(STREAM) as connection:
        assert connection.receive_json()["name"] == "Somchai"
    answer = client.get("/auth/logout")
    assert f"{SESSION}=;" in "".join(answer.headers.get_list("set-cookie"))
    client.cookies.clear()
    replayed = {SESSION: token}
    assert client.get("/", cookies=replayed).status_code == 401
    assert client.get("/media/0123.csv", cookies=replayed).status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers={"cookie": f"{SESSION}={token}"}),
    ):
        pass
    assert Sessions.of(home).alive() == {}


def test_nobody_opens_a_socket_without_a_session(client: TestClient) -> None:
    for headers in ({}, {"cookie": f"{SESSION}=guessed"}, {"cookie": "="}):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect(STREAM, headers=headers),
        ):
            pass


def test_a_session_ends_with_its_token(client: TestClient) -> None:
    sign_in(client, exp=time.time() - 1)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("missing", ["iss", "sub", "exp"])
def test_a_token_that_does_not_say_whose_or_how_long_signs_nobody_in(client: TestClient, missing: str) -> None:
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["TH"], "exp": time.time() + 3600}
    claims.pop(missing)
    client.get("/oauth2callback", params={"claims": json.dumps(claims)})
    assert client.get("/").status_code == 401


def test_signing_in_again_ends_the_session_before(client: TestClient) -> None:
    before = sign_in(client)
    assert sign_in(client) != before
    client.cookies.clear()
    assert client.get("/", cookies={SESSION: before}).status_code == 401


@pytest.mark.parametrize("changes", [{"roles": []}, {"roles": ["root"]}, {"areas": []}, {"areas": ["R99"]}])
def test_who_has_no_role_or_area_is_told_so_with_a_number(
    client: TestClient, home: DataHome, changes: dict[str, object]
) -> None:
    sign_in(client, **changes)
    answer = client.get("/?lang=en")
    assert answer.status_code == 403
    (refused,) = AuditLog(home).newest(1)
    assert refused["event"] == "refused"
    assert refused["reference"] in answer.text


@pytest.mark.parametrize("role", Role)
def test_each_page_is_open_to_its_roles_and_to_no_other(client: TestClient, role: Role) -> None:
    sign_in(client, roles=[str(role)], areas=["TH"])
    for entry in ENTRIES:
        path = "/" if entry is ENTRIES[0] else f"/{entry.name}"
        assert client.get(path).status_code == (200 if role in entry.roles else 403), entry.name


def test_the_audit_log_is_for_officers_of_the_whole_country(client: TestClient) -> None:
    sign_in(client, roles=["data_protection_officer"], areas=["R04"])
    assert client.get("/audit").status_code == 403
    assert PAGES["audit"].is_of_nation


def test_the_way_back_survives_signing_in(client: TestClient) -> None:
    here = f"{PUBLIC}/utilization?area=R04&lang=en"
    answer = client.get("/auth/login", headers={"referer": here})
    assert "provider=" in answer.json()["query"]
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["TH"], "exp": time.time() + 3600}
    answer = client.get("/oauth2callback", params={"claims": json.dumps(claims)})
    assert answer.headers["location"] == "/utilization?area=R04&lang=en"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/utilization",
        f"{PUBLIC}.evil.example/utilization",
        f"{PUBLIC}//evil.example",
        f"{PUBLIC}/nothing",
        f"{PUBLIC}/auth/logout",
        f"{PUBLIC}/\\evil.example",
        "https://user@ruam.example/utilization",
    ],
)
def test_the_way_back_leads_nowhere_else(client: TestClient, elsewhere: str) -> None:
    client.get("/auth/login", headers={"referer": elsewhere})
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["TH"], "exp": time.time() + 3600}
    answer = client.get("/oauth2callback", params={"claims": json.dumps(claims)})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("way", ["//evil.example", "https://evil.example", "/auth/logout", "javascript:alert(1)"])
def test_a_forged_way_back_is_not_taken(client: TestClient, way: str) -> None:
    claims = CLAIMS | {"roles": ["analyst"], "areas": ["TH"], "exp": time.time() + 3600}
    answer = client.get(
        "/oauth2callback", params={"claims": json.dumps(claims)}, cookies={"__Host-ruam_back": way.replace("/", "%2F")}
    )
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/x", "/_stcore/health", "/media/x"])
def test_every_answer_tells_the_browser_what_it_may_do(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "'unsafe-eval'" not in rules["script-src"]
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "'sha256-" in rules["script-src"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert ("cache-control" not in headers) == path.startswith("/static/")


def test_signing_in_and_out_is_recorded_under_a_pseudonym(client: TestClient, home: DataHome) -> None:
    sign_in(client)
    client.get("/auth/logout")
    log = AuditLog(home)
    assert [entry["event"] for entry in log.newest(9)] == ["logout", "login"]
    assert len({entry["subject"] for entry in log.newest(9)}) == 1
    assert "1100" not in log.path.read_text()
    assert "Somchai" not in log.path.read_text()
    assert log.problems() == []


def test_a_demo_signs_in_its_users_and_only_from_its_own_page(home: DataHome) -> None:
    own = {"origin": "http://127.0.0.1:8501"}
    with client_of(home, demo=True) as client:
        shown = client.get("/utilization?lang=en")
        assert shown.status_code == 401
        assert all(f'value="{role}"' in shown.text for role in Role)
        form = {"user": "regional_analyst", "next": "/utilization?lang=en"}
        assert client.post("/auth/demo", data=form).status_code == 403
        assert client.post("/auth/demo", data=form, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.post("/auth/demo", data=form | {"user": "root"}, headers=own).status_code == 400
        answer = client.post("/auth/demo", data=form, headers=own)
        assert (answer.status_code, answer.headers["location"]) == (303, "/utilization?lang=en")
        assert client.get("/utilization").json()["user"]["areas"] == ["R04"]
        assert client.get("/oauth2callback").status_code == 404
        assert client.post("/auth/demo", data=form | {"next": "//evil.example"}, headers=own).headers["location"] == "/"


def test_with_a_provider_there_are_no_demo_users(client: TestClient) -> None:
    answer = client.post("/auth/demo", data={"user": "analyst"}, headers={"origin": PUBLIC})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("10.0.0.2", {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}, 200),
        ("10.0.0.2", {"x-forwarded-proto": "http"}, 403),
        ("10.0.0.2", {}, 403),
        ("10.0.0.9", {"x-forwarded-proto": "https", "x-forwarded-for": "10.0.0.2"}, 403),
    ],
)
def test_behind_a_proxy_only_what_it_brings_over_tls_is_answered(
    peer: str, headers: dict[str, str], status: int
) -> None:
    app = BehindProxies(INNER, ("10.0.0.2",))
    with TestClient(app, base_url="http://ruam.example", client=(peer, 50_000)) as client:
        assert client.get("/", headers=headers).status_code == status


def test_the_whole_server_passes_every_door_in_order(home: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.access.server.st.App", lambda *_, **__: INNER)
    app = app_of(Settings(home=home.root), provider())
    client = TestClient(app, base_url=PUBLIC, follow_redirects=False)
    assert client.get("/").status_code == 401
    assert client.get("/_stcore/metrics").status_code == 404
    assert "content-security-policy" in client.get("/_stcore/health").headers
    # Another name than the pages' own (a rebound one) is not answered.
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/", content=b"x" * 20_000).status_code == 413
    assert [client.get("/auth/logout").status_code for _ in range(40)][-1] == 429
