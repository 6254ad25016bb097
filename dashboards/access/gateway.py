"""The door before Streamlit: which paths there are, who has a session, and the way in and out.

Streamlit keeps who signed in within a signed cookie of 30 days that a logout does not revoke. Here that cookie never
reaches a browser: the browser holds a random token, the session lies on the server (`ruam.sessions`), and each request
to Streamlit gets the cookie anew as long as the session lives.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Call
from streamlit.auth_util import encode_provider_token, get_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value, decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import TOKENS_COOKIE_NAME, USER_COOKIE_NAME

from dashboards.access import entrance
from dashboards.access.demo import BY_CODE, ISSUER
from dashboards.access.pages import Entry, page_at
from ruam.access import AccessTable, Refused, Role
from ruam.audit import AuditLog, Event, pseudonym
from ruam.home import DataHome
from ruam.provider import CALLBACK, Provider
from ruam.sessions import LIFE_SECONDS, Session, Sessions, name_of

LOGGER = logging.getLogger(__name__)

LOGIN, LOGOUT, DEMO, STYLE = "/auth/login", "/auth/logout", "/auth/demo", "/auth/entrance.css"
PROVIDER = "default"
WAY_BACK_SECONDS = 600
KEPT_CLAIMS = ("iss", "sub", "name", "iat", "exp")
"""Beside those of the table of access. Whatever else the provider tells stays outside."""

_OPEN = re.compile(r"/_stcore/health|/favicon\.png|/(app/)?static/.+")
_WITH_SESSION = re.compile(r"/_stcore/(host-config|stream)|/media/.+")
_OF_STREAMLIT = re.compile(rf"{USER_COOKIE_NAME}(_.*)?|{TOKENS_COOKIE_NAME}(_.*)?")


class Door(Enum):
    OPEN = auto()
    STYLE = auto()
    LOGIN = auto()
    CALLBACK = auto()
    LOGOUT = auto()
    DEMO = auto()
    PAGE = auto()
    WITH_SESSION = auto()
    CLOSED = auto()
    """Metrics, agents, uploads, components, and all that nobody knows."""


def door_of(path: str) -> Door:
    """What stands at a path; what is not named here is closed."""
    named = {LOGIN: Door.LOGIN, LOGOUT: Door.LOGOUT, CALLBACK: Door.CALLBACK, DEMO: Door.DEMO, STYLE: Door.STYLE}
    if path in named:
        return named[path]
    if ".." in path:
        return Door.CLOSED
    if _OPEN.fullmatch(path):
        return Door.OPEN
    if _WITH_SESSION.fullmatch(path):
        return Door.WITH_SESSION
    return Door.PAGE if page_at(path) else Door.CLOSED


@dataclass(frozen=True)
class Held:
    """A session that a request showed the token of."""

    name: str
    session: Session


class Gateway:
    """ASGI middleware around Streamlit. Without a provider it signs in demo users."""

    def __init__(
        self, app: ASGIApp, home: DataHome, table: AccessTable, cookie_secret: str, provider: Provider | None
    ) -> None:
        self.app = app
        self._home = home
        self._table = table
        self._cookie_secret = cookie_secret
        self._provider = provider
        self._sessions = Sessions.of(home)
        self._audit = AuditLog(home)

    async def __call__(self, scope: Call, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            answer = await self._answer(Request(scope, receive), send)
            if answer is not None:
                await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _socket(self, scope: Call, receive: Receive, send: Send) -> None:
        held = self._held(scope)
        if held is None or door_of(scope["path"]) is not Door.WITH_SESSION:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(self._passed_on(scope, held), receive, send)

    async def _answer(self, request: Request, send: Send) -> Response | None:
        """The answer, or None where Streamlit has given it."""
        scope, door = request.scope, door_of(request.url.path)
        if request.method not in ({"POST"} if door is Door.DEMO else {"GET", "HEAD"}):
            return PlainTextResponse("Method not allowed", 405)
        if door is Door.CLOSED or (door is Door.CALLBACK and self._provider is None):
            return PlainTextResponse("Not found", 404)
        if door is Door.STYLE:
            return Response(entrance.STYLE, media_type="text/css")
        if door is Door.DEMO:
            return await self._demo(request)
        if door is Door.LOGIN:
            return await self._login(request, send)
        if door is Door.CALLBACK:
            await self.app(self._passed_on(scope, None), request.receive, self._signing_in(request, send))
            return None
        held = self._held(scope)
        if door is Door.LOGOUT:
            return await self._logout(request, held, send)
        if held is None and door is Door.WITH_SESSION:
            return PlainTextResponse("Sign in first", 401)
        if (page := page_at(request.url.path)) and (answer := await self._before_a_page(page, request, held)):
            return answer
        await self.app(self._passed_on(scope, held), request.receive, send)
        return None

    async def _before_a_page(self, page: Entry, request: Request, held: Held | None) -> Response | None:
        """What is answered instead of a page: signing in, or that it is not for this person."""
        path, query = request.url.path, request.url.query
        if held is None:
            show = entrance.demo_page if self._provider is None else entrance.sign_in_page
            return HTMLResponse(show(path, query), 401)
        roles: tuple[Role, ...] = ()
        try:
            identity = self._table.identity_of(held.session.subject, held.session.claims)
            roles = identity.roles
            page.check(identity)
            return None
        except Refused as refused:
            reason = refused.reason
        reference = token_hex(4)
        told = {"page": page.name, "reason": reason, "reference": reference}
        await run_in_threadpool(self._audit.write, Event.REFUSED, held.session.subject, roles, **told)
        return HTMLResponse(entrance.refused_page(path, query, reason, reference), 403)

    # The way in

    async def _login(self, request: Request, send: Send) -> Response | None:
        back = _way_back(request.headers, request.url.scheme)
        if self._provider is None:
            return RedirectResponse(back or "/", 303)
        call = self._passed_on(request.scope, None)
        call["query_string"] = f"provider={encode_provider_token(PROVIDER)}".encode()

        async def with_way_back(message: Message) -> None:
            if message["type"] == "http.response.start" and back:
                cookie = f"{_way_back_cookie(request)}={quote(back, safe='')}; Path=/; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("set-cookie", f"{cookie}; Max-Age={WAY_BACK_SECONDS}")
            await send(message)

        await self.app(call, request.receive, with_way_back)
        return None

    def _signing_in(self, request: Request, send: Send) -> Send:
        """Take Streamlit's cookies out of its answer to the provider, and begin a session in their place."""

        async def signing_in(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                claims = self._signed_in(headers)
                _without_cookies_of_streamlit(headers)
                if claims is not None:
                    cookie = await run_in_threadpool(self._start, request, claims)
                    headers.append("set-cookie", cookie)
                    headers["location"] = _safe_way(unquote(request.cookies.get(_way_back_cookie(request), ""))) or "/"
                    headers.append("set-cookie", f"{_way_back_cookie(request)}=; Path=/; HttpOnly; Max-Age=0")
            await send(message)

        return signing_in

    def _signed_in(self, headers: Headers) -> Mapping[str, Any] | None:
        """The claims of the ID token that Streamlit has checked, None when it let nobody in."""
        values: dict[str, str] = {}
        for header in headers.getlist("set-cookie"):
            values |= _cookies(header)

        def one(name: str) -> bytes | None:
            value = values.get(name)
            return decode_signed_value(self._cookie_secret, name, value) if value else None

        decoded = get_cookie_with_chunks(one, USER_COOKIE_NAME)
        claims = json.loads(decoded) if decoded else None
        if not isinstance(claims, dict):
            return None
        if not (claims.get("iss") and claims.get("sub") and isinstance(claims.get("exp"), int | float)):
            LOGGER.error("an ID token without issuer, subject or expiry was not taken")
            return None
        return claims

    def _start(self, request: Request, claims: Mapping[str, Any]) -> str:
        """Begin a session; gives its cookie. One that the browser still had ends."""
        if (before := self._held(request.scope)) is not None:
            self._sessions.end(before.name)
        subject = pseudonym(self._home, str(claims["iss"]), str(claims["sub"]))
        wanted = (*KEPT_CLAIMS, self._table.role.claim, self._table.area.claim)
        kept = {name: claims[name] for name in wanted if name in claims}
        token = self._sessions.start(subject, kept, float(claims["exp"]))
        try:
            roles = self._table.identity_of(subject, kept).roles
        except Refused:
            roles = ()
        self._audit.write(Event.LOGIN, subject, roles)
        return f"{_session_cookie(request.url.scheme)}={token}; Path=/; HttpOnly; SameSite=Lax"

    async def _demo(self, request: Request) -> Response:
        if self._provider is not None:
            return PlainTextResponse("Not found", 404)
        if _host_of(request.headers.get("origin")) != request.headers.get("host"):
            return PlainTextResponse("From another site", 403)
        form = parse_qs((await request.body()).decode(errors="replace"))
        user = BY_CODE.get(form.get("user", [""])[0])
        if user is None:
            return PlainTextResponse("No such user", 400)
        claims = user.claims(self._table, time.time(), LIFE_SECONDS)
        cookie = await run_in_threadpool(self._start, request, claims)
        answer = RedirectResponse(_safe_way(form.get("next", ["/"])[0]) or "/", 303)
        answer.headers.append("set-cookie", cookie)
        return answer

    # The way out

    async def _logout(self, request: Request, held: Held | None, send: Send) -> Response | None:
        cookie = f"{_session_cookie(request.url.scheme)}=; Path=/; HttpOnly; Max-Age=0"
        if held is not None and self._sessions.end(held.name):
            await run_in_threadpool(self._audit.write, Event.LOGOUT, held.session.subject)
        if self._provider is None or held is None:
            answer = RedirectResponse("/", 303)
            answer.headers.append("set-cookie", cookie)
            return answer

        async def without_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _without_cookies_of_streamlit(headers)
                headers.append("set-cookie", cookie)
            await send(message)

        await self.app(self._passed_on(request.scope, held), request.receive, without_cookies)
        return None

    # Between the browser's cookies and Streamlit's

    def _held(self, scope: Call) -> Held | None:
        scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
        token = _cookies(Headers(scope=scope).get("cookie", "")).get(_session_cookie(scheme))
        if not token:
            return None
        name = name_of(token)
        session = self._sessions.get(name)
        return Held(name, session) if session else None

    def _passed_on(self, scope: Call, held: Held | None) -> Call:
        """The call as Streamlit gets it: who is signed in comes from the session alone, whatever the browser sent."""
        call = dict(scope)
        sent = _cookies(Headers(scope=scope).get("cookie", ""))
        cookies = {name: value for name, value in sent.items() if not _OF_STREAMLIT.fullmatch(name)}
        if held is not None:
            told = {
                **held.session.claims,
                "session": held.name,
                "subject": held.session.subject,
                "provider": PROVIDER if self._provider else ISSUER,
                "is_logged_in": True,
                "origin": self._origin(scope),
            }
            signed = create_signed_value(self._cookie_secret, USER_COOKIE_NAME, json.dumps(told))
            cookies[USER_COOKIE_NAME] = signed.decode()
        headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        if cookies:
            headers.append(
                (b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode("latin-1"))
            )
        call["headers"] = headers
        return call

    def _origin(self, scope: Call) -> str:
        """Streamlit believes its cookie only when it comes from the origin that is written in it."""
        if self._provider is not None:
            parts = urlsplit(self._provider.public_url)
            return f"{parts.scheme}://{parts.netloc}"
        return f"http://{Headers(scope=scope).get('host', '')}"


def _session_cookie(scheme: str) -> str:
    # The prefix binds the cookie to this host and to TLS; browsers take it only there.
    return "__Host-ruam_session" if scheme == "https" else "ruam_session"


def _way_back_cookie(request: Request) -> str:
    return "__Host-ruam_back" if request.url.scheme == "https" else "ruam_back"


def _cookies(header: str) -> dict[str, str]:
    """Names and values as they were sent, of a `Cookie` header, or of a `Set-Cookie` (its attributes among them)."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs if name}


def _without_cookies_of_streamlit(headers: MutableHeaders) -> None:
    kept = [value for value in headers.getlist("set-cookie") if not _OF_STREAMLIT.fullmatch(value.partition("=")[0])]
    del headers["set-cookie"]
    for value in kept:
        headers.append("set-cookie", value)


def _way_back(headers: Headers, scheme: str) -> str | None:
    """Where someone was who is now signing in, by the address that sent them; None from another site."""
    sent_by = urlsplit(headers.get("referer", ""))
    if (sent_by.scheme, sent_by.netloc) != (scheme, headers.get("host")):
        return None
    return _safe_way(sent_by.path + (f"?{sent_by.query}" if sent_by.query else ""))


def _safe_way(address: str) -> str | None:
    """An address of one of the pages; None for any other, which may lead elsewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or page_at(parts.path) is None:
        return None
    path = quote("/" + parts.path.strip("/"), safe="/")
    return path + (f"?{quote(parts.query, safe='=&%+-._~')}" if parts.query else "")


def _host_of(origin: str | None) -> str | None:
    return urlsplit(origin).netloc if origin else None
