"""Alerts: who fell silent, what dropped suddenly, and that nothing is published any more; by e-mail and webhook.

What is wrong is read from what was published and from the build's own record, each by one small function, so that a
source can be changed without anything else. What goes on is told again after `again_hours` and not before; one message
holds all that is new.
"""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from itertools import groupby
from statistics import median

import duckdb
import httpx
import polars as pl
from sqlalchemy import Engine, delete, insert, select, update

from ruam import stewards
from ruam.era import short_day, short_month
from ruam.errors import NotSentError, PublishError, SetupError
from ruam.followup.tables import alerts_sent
from ruam.gates import gates, stopped
from ruam.geography import province_names
from ruam.home import DataHome
from ruam.publish import current
from ruam.serve import LOOPBACK
from ruam.settings import AlertSettings

_log = logging.getLogger(__name__)

SHORTEST_HISTORY = 3
"""Deliveries before the last from which a usual size can be told."""
DROP_SHARE, DROP_SPREADS = 0.5, 3.0
"""A delivery dropped when it holds less than half of what is usual, and lies outside three usual spreads besides."""


class Kind(StrEnum):
    SILENCE = "silence"
    DROP = "drop"
    GATE = "gate"


TITLES = {
    Kind.SILENCE: "ไม่ส่งข้อมูลนานกว่าปกติ / silent",
    Kind.DROP: "จำนวนแถวลดลงผิดปกติ / sudden drop",
    Kind.GATE: "หยุดเผยแพร่ข้อมูล / not published",
}
PAGES = {Kind.SILENCE: "deliveries", Kind.DROP: "deliveries", Kind.GATE: "overview"}


@dataclass(frozen=True)
class Alert:
    kind: Kind
    subject: str
    """Whom or what it is about: with the kind, what an alert is known by from one run to the next."""
    group: str
    """Under which alerts of a kind stand together: the province."""
    text: str
    query: str = ""
    """Of the address of the page."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True)
class Came:
    """An accepted delivery of a facility: when it was sent, and how many rows it held."""

    at: datetime
    n_rows: int


def came_by_facility(home: DataHome) -> dict[tuple[str, str], list[Came]]:
    """Accepted deliveries by HOSPCODE and province, oldest first: whence drops are told."""
    rows = stewards.delivery_rows(home).filter(pl.col("outcome").str.starts_with("accepted"))
    rows = rows.with_columns(at=pl.coalesce("sent_at", "received_at")).unique(["hospcode", "delivery_id"])
    rows = rows.drop_nulls("hospcode").sort("hospcode", "at")
    ordered = rows.select("hospcode", "province_code", "at", "n_rows").iter_rows()
    return {
        (hospcode, province): [Came(at, n) for _, _, at, n in group]
        for (hospcode, province), group in groupby(ordered, key=lambda row: (row[0], row[1]))
    }


def silences(home: DataHome) -> list[Alert]:
    """Facilities whose newest report that is due did not come, though one of the six months before did (`fct_reports`).

    Raises `PublishError` when what is published has no reports.
    """
    pointer = current(home)
    if pointer is None or not (home.serving / pointer["file"]).is_file():
        return []
    try:
        with duckdb.connect(str(home.serving / pointer["file"]), read_only=True) as connection:
            rows = connection.execute("""
                select hospcode, province_code, report_month, due_on
                from agg_facility_reports
                where is_due
                qualify
                    row_number() over (partition by hospcode order by report_month desc) = 1
                    and state = 'silent' and n_reports_before > 0
                order by hospcode
            """).fetchall()
    except duckdb.CatalogException as error:
        raise PublishError("What is published has no reports yet. Run `ruam build`, then `ruam publish`.") from error
    return [
        Alert(
            Kind.SILENCE,
            hospcode,
            province,
            f"{hospcode}: ยังไม่ส่งข้อมูลเดือน {short_month(month)} (ครบกำหนด {short_day(due_on)})",
            f"facility={hospcode}",
        )
        for hospcode, province, month, due_on in rows
    ]


def drops(came: Mapping[tuple[str, str], Sequence[Came]]) -> list[Alert]:
    """Facilities whose last delivery is far smaller than theirs usually are, by median and spread (MAD)."""
    found = []
    for (hospcode, province), sent in came.items():
        if len(sent) <= SHORTEST_HISTORY:
            continue
        last, before = sent[-1], [one.n_rows for one in sent[:-1]]
        usual = median(before)
        spread = 1.4826 * median(abs(n - usual) for n in before)
        if last.n_rows < min(DROP_SHARE * usual, usual - DROP_SPREADS * spread):
            text = f"{hospcode}: ส่ง {short_day(last.at.date())} {last.n_rows:,} แถว (ปกติราว {usual:,.0f} แถว)"
            # By the delivery: the next small one is another drop.
            found.append(Alert(Kind.DROP, f"{hospcode}@{last.at:%Y%m%d%H%M%S}", province, text, f"facility={hospcode}"))
    return found


def stops(home: DataHome) -> list[Alert]:
    """The gates that are shut, so that an older version stays published (`ruam.gates`)."""
    told = stopped(home)
    if told is None:
        return []
    pointer = current(home)
    stays = f"ข้อมูลที่เผยแพร่เมื่อ {pointer['published_at'][:10]} ยังแสดงอยู่" if pointer else "ยังไม่เคยเผยแพร่"
    return [
        # By what holds it shut, not by the build: a gate that stays shut is one alert.
        Alert(Kind.GATE, f"{stop.gate}: {stop.detail}"[:140], "", f"{gates()[stop.gate].th}: {stop.detail} ({stays})")
        for stop in told.stops
    ]


def found(home: DataHome) -> list[Alert]:
    """All that is wrong as of the last publication. Before the first one, nobody is known to be silent."""
    came = came_by_facility(home) if stewards.current_file(home) else {}
    return [*stops(home), *silences(home), *drops(came)]


# What was told already


def unsaid(engine: Engine, channel: str, alerts: Iterable[Alert], again: timedelta, now: datetime) -> list[Alert]:
    """Of `alerts` those that this channel was not told of, or so long ago that it is told again."""
    with engine.connect() as connection:
        wanted = select(alerts_sent.c.alert_key, alerts_sent.c.last_sent_at).where(alerts_sent.c.channel == channel)
        told = {key: at for key, at in connection.execute(wanted)}  # noqa: C416 - rows, which `dict` would not take
    return [one for one in alerts if one.key not in told or told[one.key] + again <= now]


def note(engine: Engine, channel: str, told: Iterable[Alert], standing: Iterable[Alert], now: datetime) -> None:
    """Keep what this channel was told, and forget what is over: it is new when it comes again."""
    keys = {one.key for one in standing}
    with engine.begin() as connection:
        of_channel = alerts_sent.c.channel == channel
        known = {key for (key,) in connection.execute(select(alerts_sent.c.alert_key).where(of_channel))}
        for key in known - keys:
            connection.execute(delete(alerts_sent).where(of_channel, alerts_sent.c.alert_key == key))
        for key in {one.key for one in told}:
            if key in known:
                again = {"last_sent_at": now, "n_sent": alerts_sent.c.n_sent + 1}
                connection.execute(update(alerts_sent).where(of_channel, alerts_sent.c.alert_key == key).values(again))
            else:
                first = {"alert_key": key, "channel": channel, "first_sent_at": now, "last_sent_at": now, "n_sent": 1}
                connection.execute(insert(alerts_sent).values(first))


# Messages


def lines_of(alerts: Sequence[Alert], settings: AlertSettings) -> list[str]:
    """The alerts by kind and province, each with the address of its page; those that are too many are counted."""
    names = province_names()
    lines: list[str] = []
    shown = sorted(alerts, key=lambda one: (list(Kind).index(one.kind), one.group, one.subject))
    for kind, of_kind in groupby(shown[: settings.most_lines], key=lambda one: one.kind):
        lines += ["", f"## {TITLES[kind]}"]
        for group, ones in groupby(of_kind, key=lambda one: one.group):
            lines += [names.get(group, group)] if group else []
            for one in ones:
                query = f"?{one.query}" if one.query else ""
                lines.append(f"- {one.text} {settings.pages.rstrip('/')}/{PAGES[kind]}{query}")
    if len(shown) > settings.most_lines:
        lines += ["", f"และอีก {len(shown) - settings.most_lines:,} รายการ / and more on the page"]
    return lines[1:]


def subject_of(alerts: Sequence[Alert]) -> str:
    counts = {kind: sum(one.kind is kind for one in alerts) for kind in Kind}
    return "Ruam: " + ", ".join(f"{TITLES[kind].split(' / ')[0]} {n:,}" for kind, n in counts.items() if n)


_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        smtplib.SMTPNotSupportedError,
        "it offers no STARTTLS, or no login, and nothing is said to it in clear. Name its port for submission "
        "(RUAM_ALERTS__SMTP_PORT), or another server",
    ),
    (
        smtplib.SMTPAuthenticationError,
        "it refused the account. Put RUAM_ALERTS__SMTP_USER and RUAM_ALERTS__SMTP_PASSWORD right",
    ),
    (
        ssl.SSLCertVerificationError,
        "its certificate does not hold. RUAM_ALERTS__SMTP_HOST must be the name in it, and SSL_CERT_FILE must name the "
        "authority that signed it, if it is one of your own",
    ),
    (
        smtplib.SMTPRecipientsRefused,
        "it knows none of the recipients. Put RUAM_ALERTS__RECIPIENTS right",
    ),
)
"""What to do about a mail server that refuses, by how it does."""


def send_mail(alerts: Sequence[Alert], settings: AlertSettings) -> None:
    """One message to all recipients.

    Raises `NotSentError` when the server does not take it, `SetupError` when it would be sent in clear to another
    machine, or an account is named by half.
    """
    message = EmailMessage()
    message["Subject"] = subject_of(alerts)
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message.set_content("\n".join(lines_of(alerts, settings)) + "\n")
    host = str(settings.smtp_host)
    if not settings.smtp_tls and host not in LOOPBACK:
        raise SetupError(f"{host} is not this machine: mail goes there by TLS alone (RUAM_ALERTS__SMTP_TLS).")
    if bool(settings.smtp_user) is not bool(settings.smtp_password):
        raise SetupError("Set both RUAM_ALERTS__SMTP_USER and RUAM_ALERTS__SMTP_PASSWORD, or neither of them.")
    try:
        with smtplib.SMTP(host, settings.smtp_port, timeout=settings.timeout_seconds) as server:
            if settings.smtp_tls:
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user and settings.smtp_password:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        why = next((words for kind, words in _ADVICE if isinstance(error, kind)), "is it up, and host and port right?")
        # Neither the error's words nor its cause: a server may answer with what it was told.
        raise NotSentError(f"The mail server {host} did not take the alerts ({type(error).__name__}): {why}.") from None
    if refused:  # The others have the message: they are not told again for its sake.
        _log.warning("recipients refused", extra={"n_refused": len(refused), "n_recipients": len(settings.recipients)})


def send_webhook(alerts: Sequence[Alert], settings: AlertSettings) -> None:
    """One POST of `{"text", "alerts": [{"kind", "subject", "text", "link"}]}`. Raises `NotSentError` for any other
    answer than success."""
    lines = lines_of(alerts, settings)
    links = [f"{settings.pages.rstrip('/')}/{PAGES[one.kind]}{'?' if one.query else ''}{one.query}" for one in alerts]
    told = [
        {"kind": str(one.kind), "subject": one.subject, "text": one.text, "link": link}
        for one, link in zip(alerts, links, strict=True)
    ]
    body = {"text": "\n".join([subject_of(alerts), "", *lines]), "alerts": told[: settings.most_lines]}
    address = settings.webhook.get_secret_value() if settings.webhook else ""
    try:
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        answer = httpx.post(address, content=content, headers=headers, timeout=settings.timeout_seconds)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Neither the error's words nor its cause are shown: they hold the address, and so its token.
        raise NotSentError(f"The webhook did not take the alerts ({type(error).__name__}).") from None


def channels(settings: AlertSettings) -> dict[str, Callable[[Sequence[Alert], AlertSettings], None]]:
    """The ways out that the settings name."""
    ways: dict[str, Callable[[Sequence[Alert], AlertSettings], None]] = {}
    if settings.smtp_host and settings.recipients:
        ways["mail"] = send_mail
    if settings.webhook:
        ways["webhook"] = send_webhook
    return ways


def send(
    engine: Engine, alerts: Sequence[Alert], settings: AlertSettings, now: datetime | None = None
) -> dict[str, int]:
    """Tell each channel what it does not know yet; gives how many alerts each was told.

    Raises `SetupError` when no channel is set. One that fails does not keep the others from being told: then
    `NotSentError` is raised at the end, and what it was not told is told the next time.
    """
    ways = channels(settings)
    if not ways:
        raise SetupError("No way out is set: name RUAM_ALERTS__SMTP_HOST and recipients, or RUAM_ALERTS__WEBHOOK.")
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    told: dict[str, int] = {}
    failed: list[str] = []
    for channel, way in ways.items():
        new = unsaid(engine, channel, alerts, timedelta(hours=settings.again_hours), moment)
        try:
            if new:
                way(new, settings)
        except NotSentError as error:
            failed.append(str(error))
            continue
        note(engine, channel, new, alerts, moment)
        told[channel] = len(new)
    if failed:
        raise NotSentError(" ".join(failed))
    return told
