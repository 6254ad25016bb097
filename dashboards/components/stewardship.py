"""What the stewards' pages share: their file, words for findings, and reports that are handed out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
import streamlit as st

from dashboards.access.guard import end_page, recorder
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import page_title
from dashboards.components.filters import choice, choose_area
from dashboards.components.values import date_text
from dashboards.queries import reads, stewardship
from dashboards.queries.reads import THAILAND
from dashboards.queries.serving import Serving, stewards_serving
from dashboards.queries.stewardship import ALL, Wanted
from ruam import reports
from ruam.home import DataHome
from ruam.settings import settings_in_force
from ruam.words import Words

MIME = {".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".json": "application/json"}


@dataclass(frozen=True)
class Desk:
    """A steward's page: what every page has, the stewards' file, and the names of facilities."""

    context: Context
    stewards: Serving
    names: dict[str, str]

    @property
    def words(self) -> Words:
        return self.context.words

    def facility(self, hospcode: str | None) -> str:
        """`10713 โรงพยาบาล…`, the code alone where the registry has no name."""
        if hospcode is None:
            return self.words("steward.unknown_sender")
        return f"{hospcode} {self.names.get(hospcode, '')}".strip()


def open_desk(page: str) -> Desk:
    """The page ends here with a plain word when nothing was published for stewards."""
    context = open_context(page)
    page_title(context.words, page)
    stewards = stewards_serving(settings_in_force().data_home.serving, context.serving)
    if stewards is None:
        st.info(context.words("steward.empty"), icon=":material/hourglass_empty:")
        end_page()
    return Desk(context, stewards, stewardship.facility_names(context.serving))


def choose_wanted(desk: Desk) -> Wanted:
    """The area, with the provinces of a region."""
    area, _ = choose_area(desk.context, provinces=True)
    rows = reads.areas(desk.context.serving)
    own = rows.filter(pl.col("area_level") == "province", pl.col("parent_code") == area.area_code)["area_code"]
    return Wanted(area, list(own) if area.area_level == "region" else [])


def choose_facility(desk: Desk, codes: list[str]) -> str:
    """One facility of those given, or all; in the URL `facility=10713`."""
    shown = {ALL: desk.words("steward.all_facilities")} | {code: desk.facility(code) for code in codes}
    return choice(desk.words("filter.facility"), "facility", shown, desk.words.language)


def chosen_row(words: Words, table: pl.DataFrame, page: str, alt: str) -> int | None:
    """A table of which one row may be chosen, and that row's place."""
    event = st.dataframe(
        table,
        hide_index=True,
        alt=alt,
        key=f"{page}_{words.language}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(38 + 35 * max(table.height, 1), 440),
    )
    picked = event["selection"]["rows"]
    return picked[0] if picked and picked[0] < table.height else None


def day_text(words: Words, moment: object) -> str:
    """The day of a time as its sender's clock, in Thailand, said it; or a dash."""
    return date_text(words, moment.date()) if isinstance(moment, datetime) else "–"


def day_in_thailand(words: Words, moment: object) -> str:
    """The day in Thailand of a time of UTC, or a dash."""
    return day_text(words, moment.replace(tzinfo=UTC).astimezone(THAILAND)) if isinstance(moment, datetime) else "–"


def today() -> date:
    """In Thailand."""
    return datetime.now(UTC).astimezone(THAILAND).date()


def report_buttons(words: Words, hospcode: str, delivery_id: str) -> None:
    """The delivery's report in both forms, as it was written; each time that it is handed out is recorded."""
    home = settings_in_force().data_home
    found = [suffix for suffix in reports.SUFFIXES if reports.path_of(home, hospcode, delivery_id, suffix).exists()]
    if not found:
        st.caption(words("deliveries.no_report"))
        return
    with st.container(horizontal=True):
        for suffix in found:
            _report_button(words, home, hospcode, delivery_id, suffix)


def _report_button(words: Words, home: DataHome, hospcode: str, delivery_id: str, suffix: str) -> None:
    record = recorder()

    def made() -> bytes:
        content = reports.read(home, hospcode, delivery_id, suffix)
        if content is None:
            raise FileNotFoundError("the report is gone")
        record(f"report {hospcode} {delivery_id[:12]}{suffix}", 1, hashlib.sha256(content).hexdigest())
        return content

    label = words(f"report_form.{suffix.removeprefix('.')}")
    name = f"ruam-{hospcode}-{delivery_id[:12]}{suffix}"
    st.download_button(
        label, made, name, MIME[suffix], icon=":material/download:", key=f"report_{suffix}_{delivery_id}"
    )
