"""The guard inside every page: who is here, whether the page is for them, and what they were shown.

The gateway has looked before; this looks again at each rerun, for an open page outlives a session, and a menu is no
protection.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner_utils.exceptions import ScriptControlException

from dashboards.access.pages import PAGES
from dashboards.queries.reads import THAILAND
from dashboards.queries.serving import Serving
from ruam.access import Identity, Level, Refused, load_table
from ruam.audit import AuditLog, Event
from ruam.sessions import IDLE_SECONDS, WARNING_SECONDS, Session, Sessions
from ruam.settings import settings_in_force
from ruam.words import Words

RECORDED = "recorded"
LOOK_SECONDS = 30
"""Between two looks of an open page at its session."""


@dataclass(frozen=True)
class Visit:
    """A session that is alive, by its name."""

    name: str
    session: Session


@dataclass
class View:
    """One run of one page, for the audit log."""

    page: str
    visit: Visit
    identity: Identity
    filters: dict[str, str]
    before: object = None
    """What the session recorded last."""
    serving: Serving | None = None


_view: ContextVar[View | None] = ContextVar("view", default=None)
"""What this run shows. Not in the session's state: Streamlit interrupts a run that touches it while another waits."""


def visit() -> Visit | None:
    """The session of who looks at this page; None when there is none, or it is over."""
    claims = st.user.to_dict()
    name = str(claims.get("session", ""))
    if not claims.get("is_logged_in"):
        return None
    session = Sessions.of(settings_in_force().data_home).get(name)
    return Visit(name, session) if session else None


def present() -> Identity | None:
    """Who looks at this page, if they may see anything at all."""
    here = visit()
    try:
        return _identity(here) if here else None
    except Refused:
        return None


def _identity(here: Visit) -> Identity:
    return load_table(settings_in_force().access_table).identity_of(here.session.subject, here.session.claims)


def admit(words: Words, page: str) -> Identity:
    """Who looks at the page, and may. For anybody else the script ends here, with a word why."""
    _view.set(None)
    here = visit()
    if here is None:
        st.header(words("access.ended_title"))
        st.info(words("access.ended_text"), icon=":material/lock:")
        if st.button(words("access.sign_in"), type="primary"):
            st.login()
        st.stop()
    settings = settings_in_force()
    try:
        identity = _identity(here)
        PAGES[page].check(identity)
    except Refused as refused:
        _refuse(words, page, here, refused.reason)
        st.stop()
    Sessions.of(settings.data_home).touch(here.name)
    _view.set(View(page, here, identity, _filters(), st.session_state.get(RECORDED)))
    return identity


def _refuse(words: Words, page: str, here: Visit, reason: str) -> None:
    """Said and recorded once for a page and a reason, however often the script runs again."""
    what = (page, reason)
    before = st.session_state.get(RECORDED)
    if isinstance(before, tuple) and before[:2] == what:
        reference = before[2]
    else:
        reference = token_hex(4)
        log = AuditLog(settings_in_force().data_home)
        log.write(Event.REFUSED, here.session.subject, page=page, reason=reason, reference=reference)
        st.session_state[RECORDED] = (*what, reference)
    st.header(words("access.refused_title"))
    st.error(f"{words(f'refused.{reason}')}  \n{words('access.reference')} `{reference}`", icon=":material/block:")


def reads_from(serving: Serving) -> None:
    """Note the published file that the page reads, whose rows the audit log counts."""
    if (view := _view.get()) is not None:
        view.serving = serving


def end_page() -> NoReturn:
    """End the page here, recorded: after `st.stop` nothing more can be noted."""
    record()
    st.stop()


def record() -> None:
    """Write what was shown to the audit log: once for the same page, filters and publication in a row.

    What cannot be recorded may not be seen: when the log cannot be written the session ends, and the error is raised.
    A run that is interrupted here, for the next click or because the browser has gone, is recorded before it ends.
    """
    view = _view.get()
    _view.set(None)
    if view is None:
        return
    try:
        view.filters = _filters()
    except ScriptControlException:
        _write(view)
        raise
    if what := _write(view):
        st.session_state[RECORDED] = what


def _write(view: View) -> object:
    """What is recorded now; None when it was already. Touches no state of the session."""
    run_id = view.serving.run_id if view.serving else None
    what = (view.page, view.filters, run_id)
    if view.before == what:
        return None
    settings = settings_in_force()
    try:
        AuditLog(settings.data_home).write(
            Event.VIEW,
            view.identity.subject,
            view.identity.roles,
            scope=scope_code(view.identity),
            page=view.page,
            filters=view.filters,
            rows=sum(view.serving.rows_read) if view.serving else 0,
            publication=run_id,
        )
    except BaseException:
        if (here := visit()) is not None:
            Sessions.of(settings.data_home).end(here.name)
        raise
    return what


def recorder() -> Callable[[str, int, str], None]:
    """What records that a table of this page is handed out: which, how many rows, and the SHA-256 of the file.

    It is called when the file is asked for, outside any run of the page: a session that is over by then gets none.
    """
    view, home = _view.get(), settings_in_force().data_home
    filters = _filters()

    def record_export(table: str, n_rows: int, sha256: str) -> None:
        if view is None or Sessions.of(home).get(view.visit.name) is None:
            raise PermissionError("the session is over")
        told = {"scope": scope_code(view.identity), "page": view.page, "filters": filters, "table": table}
        who = view.identity
        AuditLog(home).write(Event.EXPORT, who.subject, who.roles, **told, rows=n_rows, sha256=sha256)

    return record_export


def _filters() -> dict[str, str]:
    return {key: str(value) for key, value in sorted(st.query_params.to_dict().items())}


def scope_code(identity: Identity) -> str:
    """The areas as the address of a page writes them: `TH`, `R04`, `P50,P51`, `H10713`."""
    letter = {Level.NATION: "", Level.REGION: "R", Level.PROVINCE: "P", Level.FACILITY: "H"}[identity.scope.level]
    return ",".join(letter + code for code in identity.scope.codes)


@st.fragment(run_every=LOOK_SECONDS)
def watch(words: Words) -> None:
    """Look at the session while the page lies open: say when it will end for want of use, and end it on the screen."""
    here = visit()
    if here is None:
        st.rerun()
        return
    try:
        used_at = Sessions.of(settings_in_force().data_home).used_at(here.name)
    except FileNotFoundError:
        st.rerun()
        return
    if Sessions.of(settings_in_force().data_home).clock() - used_at < WARNING_SECONDS:
        return
    ends_at = min(used_at + IDLE_SECONDS, here.session.expires_at)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(words("access.idle", time=clock_text(ends_at)))
        if st.button(words("access.go_on")):
            st.rerun()


def clock_text(moment: float) -> str:
    """`14:05`, Thai time."""
    return f"{datetime.fromtimestamp(moment, UTC).astimezone(THAILAND):%H:%M}"


def menu(words: Words) -> None:
    """Who is signed in, as what and for where, and the way out. Nothing for someone who may see nothing."""
    here, identity = visit(), present()
    if here is None or identity is None:
        return
    with st.popover(identity.name, icon=":material/account_circle:"):
        roles = " · ".join(words(f"role.{role}") for role in identity.roles)
        st.markdown(f"**{identity.name}**  \n{roles}")
        st.markdown(words("access.scope", scope=_scope_text(words, identity)))
        st.caption(words("access.until", time=clock_text(here.session.expires_at)))
        st.caption(words("access.recorded_as", subject=identity.subject))
        if st.button(words("access.sign_out"), icon=":material/logout:"):
            st.logout()


def _scope_text(words: Words, identity: Identity) -> str:
    return f"{words(f'level.{identity.scope.level}')} {', '.join(identity.scope.codes)}".removesuffix(" TH")
