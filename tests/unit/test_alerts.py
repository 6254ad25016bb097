"""What is told to whom, how often, and by which way; mail and webhook against real servers on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import SecretStr

from ruam import alerts
from ruam.alerts import Alert, Came, Kind
from ruam.errors import NotSentError, SetupError
from ruam.followup.tables import open_database
from ruam.gates import Stop, lift, record
from ruam.home import DataHome
from ruam.settings import AlertSettings, Settings
from tests.certificates import certify
from tests.stewards_factory import delivery, write_stewards

NOW = datetime(2025, 6, 1, 8)  # noqa: DTZ001 - as the database holds it
SILENT = Alert(Kind.SILENCE, "90101", "50", "90101: ส่งครั้งสุดท้าย", "facility=90101")
STOPPED = Alert(Kind.GATE, "build", "", "การสร้างคลังข้อมูลไม่ผ่าน")


def publish_reports(home: DataHome, *reports: tuple[str, str, str, bool, int]) -> None:
    """Of each facility's month its state, whether it is due, and how many reports came in the six months before."""
    with duckdb.connect(str(home.serving / "ruam_1.duckdb")) as connection:
        connection.execute(
            "create table agg_facility_reports (hospcode varchar, province_code varchar, report_month date, "
            "due_on date, state varchar, is_due boolean, n_reports_before integer)"
        )
        for hospcode, month, state, is_due, n_before in reports:
            told = [hospcode, f"{month}-01", f"{month}-28", state, is_due, n_before]
            connection.execute("insert into agg_facility_reports values (?, '50', ?, ?, ?, ?, ?)", told)
    pointer = home.serving / "current.json"
    told = json.loads(pointer.read_text("utf-8")) if pointer.exists() else {"published_at": "2025-06-01T00:00:00Z"}
    pointer.write_text(json.dumps(told | {"file": "ruam_1.duckdb"}), encoding="utf-8")


def test_who_fell_silent_is_told_by_the_reports_that_are_due(tmp_path: Path) -> None:
    home = Settings(home=tmp_path).data_home
    home.create()
    assert alerts.silences(home) == [], "before anything is published nobody is silent"
    publish_reports(
        home,
        ("90101", "2025-03", "received", True, 4),
        ("90101", "2025-04", "silent", True, 5),
        ("90101", "2025-05", "not_due", False, 4),
        ("90102", "2025-03", "silent", True, 4),
        ("90102", "2025-04", "late", True, 3),  # it speaks again
        ("90103", "2025-04", "silent", True, 0),  # it never sent
        ("90104", "2025-04", "partial", True, 5),
        ("90105", "2025-04", "zero", True, 5),
        ("90106", "2025-04", "closed", False, 5),
    )
    (one,) = alerts.silences(home)
    assert (one.key, one.group, one.query) == ("silence:90101", "50", "facility=90101")
    assert one.text == "90101: ยังไม่ส่งข้อมูลเดือน 04/2568 (ครบกำหนด 28/4/2568)"


def test_a_drop_is_judged_by_what_the_facility_usually_sends() -> None:
    usual = [Came(NOW - timedelta(days=30 * n), 1000 + 10 * n) for n in range(6, 1, -1)]
    days = [NOW - timedelta(days=30 * n) for n in range(6, 1, -1)]
    wild = [Came(at, size) for at, size in zip(days, (100, 3000, 900, 40, 2000), strict=True)]
    small, half = Came(NOW, 300), Came(NOW, 600)
    told = {
        ("1", "50"): [*usual, small],
        ("2", "50"): [*usual, half],
        ("3", "50"): [*wild, small],
        ("4", "50"): [small],
    }
    assert [one.subject[:1] for one in alerts.drops(told)] == ["1"]


def test_drops_are_told_of_the_deliveries_that_were_accepted(tmp_path: Path) -> None:
    home = Settings(home=tmp_path).data_home
    sizes = [1000, 1010, 990, 1005, 300]
    sent = [delivery(f"{n:064x}", sent_at=NOW + timedelta(days=n), n_rows=size) for n, size in enumerate(sizes)]
    sent.append(delivery("f" * 64, sent_at=NOW + timedelta(days=9), outcome="rejected"))
    write_stewards(home.serving, [], sent)
    publish_reports(home)
    (one,) = alerts.found(home)
    assert (one.kind, one.subject[:5], one.group) == (Kind.DROP, "90101", "50")


def test_a_gate_that_is_shut_is_one_alert_however_often_it_is_tried(tmp_path: Path) -> None:
    home = Settings(home=tmp_path).data_home
    home.create()
    for build_id in ("first", "second"):
        record(home, build_id, [Stop(gate="keys", detail="unique_fct_visits_visit_key")])
        (one,) = alerts.found(home)
        assert one.key == "gate:keys: unique_fct_visits_visit_key"
        assert "ยังไม่เคยเผยแพร่" in one.text
    lift(home)
    assert alerts.found(home) == []


class Mailbox:
    """What a mail server took, and every line that was said to it before or beside."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@contextmanager
def mail_server(handler: Mailbox, **more: Any) -> Iterator[int]:
    """A mail server's port on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = Controller(handler, hostname="127.0.0.1", port=port, **more)
    server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture
def mailbox() -> Iterator[tuple[int, list[Any]]]:
    """A mail server's port, and what it took."""
    box = Mailbox()
    with mail_server(box) as port:
        yield port, box.messages


ACCOUNT = LoginPassword(b"alerts", b"right and proper")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 signed by itself, and a server's side of TLS with it."""
    certificate, held = certify(tmp_path_factory.mktemp("certified"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, held)
    return certificate, context


@pytest.fixture
def guarded(certified: tuple[Path, ssl.SSLContext]) -> Iterator[tuple[int, Mailbox]]:
    """A server that takes mail by STARTTLS from `ACCOUNT` alone: its port, and what it took."""
    box = Mailbox()

    def known(*told: Any) -> AuthResult:
        return AuthResult(success=told[-1] == ACCOUNT, handled=False)

    with mail_server(
        box, tls_context=certified[1], require_starttls=True, auth_required=True, authenticator=known
    ) as port:
        yield port, box


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any], list[int]]]:
    """A web server's address, what it took, and the status of its answers."""
    taken: list[Any] = []
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?key=hidden", taken, status
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    return open_database(Settings(home=tmp_path / "home"))


def by_mail(port: int, **more: Any) -> AlertSettings:
    return AlertSettings(
        smtp_host="127.0.0.1", smtp_port=port, smtp_tls=False, pages="https://ruam.example.org",
        **({"recipients": ("a@example.org", "b@example.org")} | more),
    )  # fmt: skip


def by_guarded_mail(port: int, password: str = ACCOUNT.password.decode()) -> AlertSettings:
    return AlertSettings(
        smtp_host="127.0.0.1", smtp_port=port, recipients=("a@example.org",), timeout_seconds=5,
        smtp_user=ACCOUNT.login.decode(), smtp_password=SecretStr(password),
    )  # fmt: skip


def test_one_mail_holds_all_that_is_new_with_links(engine: Any, mailbox: tuple[int, list[Any]]) -> None:
    port, taken = mailbox
    assert alerts.send(engine, [STOPPED, SILENT], by_mail(port), NOW) == {"mail": 2}
    (message,) = taken
    assert message["To"] == "a@example.org, b@example.org"
    assert "ไม่ส่งข้อมูลนานกว่าปกติ 1" in message["Subject"]
    text = message.get_content()
    assert "https://ruam.example.org/deliveries?facility=90101" in text
    assert "เชียงใหม่" in text, "alerts stand together by province"
    assert text.index("90101") < text.index("การสร้างคลังข้อมูลไม่ผ่าน")


def test_nobody_is_told_again_before_the_time_and_everybody_when_it_comes_back(
    engine: Any, mailbox: tuple[int, list[Any]]
) -> None:
    port, taken = mailbox
    settings = by_mail(port, again_hours=24)
    told = []
    runs = [(0, [SILENT]), (1, [SILENT, STOPPED]), (23, [SILENT]), (24, [SILENT]), (25, []), (26, [SILENT])]
    for hours, standing in runs:
        told.append(alerts.send(engine, standing, settings, NOW + timedelta(hours=hours))["mail"])
    assert told == [1, 1, 0, 1, 0, 1]
    assert len(taken) == 4, "without anything new no message is sent"


def test_the_webhook_gets_the_same_and_each_channel_is_told_by_itself(
    engine: Any, mailbox: tuple[int, list[Any]], hook: tuple[str, list[Any], list[int]]
) -> None:
    port, mails = mailbox
    address, taken, status = hook
    settings = by_mail(port, webhook=SecretStr(address))
    status[0] = 500
    with pytest.raises(NotSentError) as error:
        alerts.send(engine, [SILENT], settings, NOW)
    assert "hidden" not in str(error.value)
    assert len(mails) == 1, "the mail went out nevertheless"
    status[0] = 200
    assert alerts.send(engine, [SILENT], settings, NOW) == {"mail": 0, "webhook": 1}
    (one,) = taken[-1]["alerts"]
    assert one["link"] == "https://ruam.example.org/deliveries?facility=90101"
    assert "90101" in taken[-1]["text"]


def test_too_many_are_counted() -> None:
    many = [Alert(Kind.SILENCE, f"{n:05}", "50", f"{n:05}") for n in range(12)]
    lines = alerts.lines_of(many, AlertSettings(most_lines=5))
    assert sum(line.startswith("- ") for line in lines) == 5
    assert "7" in lines[-1]


def test_without_a_way_out_it_is_said(engine: Any) -> None:
    with pytest.raises(SetupError, match="No way out"):
        alerts.send(engine, [SILENT], AlertSettings(), NOW)
    with pytest.raises(SetupError, match="TLS"):
        alerts.send_mail([SILENT], AlertSettings(smtp_host="mail.example.org", smtp_tls=False, recipients=("a@x.org",)))
    with pytest.raises(NotSentError, match="mail server"):
        alerts.send_mail([SILENT], by_mail(1))


def test_mail_goes_by_tls_from_an_account(
    engine: Any,
    guarded: tuple[int, Mailbox],
    certified: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, box = guarded
    monkeypatch.setenv("SSL_CERT_FILE", str(certified[0]))
    assert alerts.send(engine, [SILENT], by_guarded_mail(port), NOW) == {"mail": 1}
    (message,) = box.messages
    assert "90101" in message.get_content()


def test_a_wrong_password_is_told_with_what_to_do_and_the_alert_is_told_when_it_is_right(
    command: Callable[..., int],
    settings: Settings,
    guarded: tuple[int, Mailbox],
    certified: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    port, box = guarded
    record(settings.data_home, "first", [Stop(gate="keys", detail="unique_fct_visits_visit_key")])
    named = {"HOST": "127.0.0.1", "PORT": port, "USER": "alerts", "PASSWORD": "a wrong one"}
    for name, value in named.items():
        monkeypatch.setenv(f"RUAM_ALERTS__SMTP_{name}", str(value))
    monkeypatch.setenv("RUAM_ALERTS__RECIPIENTS", '["a@example.org"]')
    monkeypatch.setenv("SSL_CERT_FILE", str(certified[0]))
    assert command("alerts", "send") == 11
    said = " ".join(capfd.readouterr().err.split())
    assert "RUAM_ALERTS__SMTP_PASSWORD" in said
    assert "a wrong one" not in said
    assert box.messages == []
    monkeypatch.setenv("RUAM_ALERTS__SMTP_PASSWORD", ACCOUNT.password.decode())
    assert command("alerts", "send") == 0
    assert len(box.messages) == 1


def test_a_server_that_cannot_be_trusted_is_told_nothing(engine: Any, guarded: tuple[int, Mailbox]) -> None:
    port, box = guarded
    with pytest.raises(NotSentError, match="SSL_CERT_FILE"):
        alerts.send(engine, [SILENT], by_guarded_mail(port), NOW)
    assert box.messages == []


def test_nothing_is_said_in_clear_to_a_server_without_tls(engine: Any) -> None:
    class Listener(Mailbox):
        """Keeps whatever it is told of an account or an alert."""

        told: tuple[str, ...] = ()

        async def auth_PLAIN(self, _: object, words: list[str]) -> AuthResult:  # noqa: N802
            self.told += tuple(words)
            return AuthResult(success=True)

        async def auth_LOGIN(self, _: object, words: list[str]) -> AuthResult:  # noqa: N802
            return await self.auth_PLAIN(_, words)

        async def handle_MAIL(self, *words: object) -> str:  # noqa: N802
            self.told += tuple(map(str, words))
            return "250 OK"

    box = Listener()
    with mail_server(box, auth_require_tls=False) as port, pytest.raises(NotSentError, match="STARTTLS"):
        alerts.send(engine, [SILENT], by_guarded_mail(port), NOW)
    assert (box.told, box.messages) == ((), [])


def test_an_account_is_named_whole() -> None:
    with pytest.raises(SetupError, match="SMTP_PASSWORD"):
        alerts.send_mail([SILENT], by_mail(1, smtp_user="alerts"))


def test_one_recipient_that_is_refused_does_not_keep_the_others_from_being_told(
    engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Choosy(Mailbox):
        async def handle_RCPT(  # noqa: N802
            self, server: object, session: object, envelope: Any, address: str, options: list[str]
        ) -> str:
            if address.startswith("b@"):
                return "550 unknown"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    box = Choosy()
    with mail_server(box) as port:
        assert alerts.send(engine, [SILENT], by_mail(port), NOW) == {"mail": 1}
        assert [one.message for one in caplog.records if one.name == "ruam.alerts"] == ["recipients refused"]
        with pytest.raises(NotSentError, match="RECIPIENTS"):
            alerts.send_mail([SILENT], by_mail(port, recipients=("b@example.org",)))
    assert len(box.messages) == 1
