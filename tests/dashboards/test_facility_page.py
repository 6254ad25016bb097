"""The page of one facility: its peers, who may see it, and the ways that lead to it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from dashboards.queries import figures, reads
from dashboards.queries.reads import Area, Period
from dashboards.queries.serving import connection, current_serving
from ruam.access import NATION, Level, Scope
from tests.dashboards.test_pages import open_page, texts

YEAR = Period(period_type="last_12_months", period_start=date(2024, 4, 1), period_end=date(2025, 3, 31))
NAKHONPING = Area(area_level="facility", area_code="10713")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, published_home: Path) -> Path:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    return published_home


def peers(home: Path, scope: Scope, area: Area = NAKHONPING) -> dict[tuple[str, str], dict[str, object]]:
    serving = current_serving(home / "serving", scope)
    assert serving is not None
    rows = reads.peers_of(serving, figures.FACILITY_PROFILE, area, YEAR)
    return {(row["code"], row["among"]): row for row in rows.iter_rows(named=True)}


def test_quartiles_of_peers_are_made_of_what_is_published_with_a_small_count_taken_as_five(home: Path) -> None:
    found = peers(home, NATION)
    serving = current_serving(home / "serving", NATION)
    assert serving is not None
    with connection(str(serving.path)).cursor() as cursor:
        (n, visits, referred) = cursor.execute(
            """
            select count(*), median(n_visits), median(5 / n_visits)
            from agg_facility_activity
            where peer_region = '01' and period_type = 'last_12_months' and n_referrals_out_status = 'below_10'
            """
        ).fetchall()[0]
    assert found["visits", "region"]["n_peers"] == n
    assert found["visits", "region"]["median_value"] == pytest.approx(visits)
    assert found["referred_out", "region"]["median_value"] == pytest.approx(referred)


def test_peers_are_the_same_for_whoever_sees_the_facility_and_none_for_others(home: Path) -> None:
    everything = peers(home, NATION)
    assert everything
    for scope in (Scope(level=Level.PROVINCE, codes=("50",)), Scope(level=Level.FACILITY, codes=("10713",))):
        assert peers(home, scope) == everything
    assert peers(home, Scope(level=Level.PROVINCE, codes=("57",))) == {}
    assert peers(home, NATION, Area(area_level="province", area_code="50")) == {}


def test_of_four_facilities_there_is_no_quartile(tmp_path: Path, published_home: Path) -> None:
    serving = current_serving(published_home / "serving", NATION)
    assert serving is not None
    copy = tmp_path / "four.duckdb"
    copy.write_bytes(serving.path.read_bytes())
    with duckdb.connect(str(copy)) as writing:
        writing.execute("delete from agg_facility_activity where area_code in ('80000', '80001', '80002', '80003')")
    four = reads.Serving(copy, "four", NATION)
    rows = reads.peers_of(four, figures.FACILITY_PROFILE, NAKHONPING, YEAR)
    assert set(rows.filter(code="visits")["among"]) == {"nation"}


def test_a_facility_that_sent_nothing_says_so_and_shows_no_number(home: Path) -> None:
    app = open_page("facility", area="P50", facility="11119", period="2024-05")
    assert "ไม่มีข้อมูลของหน่วยบริการนี้" in texts(app)
    assert not app.metric


@pytest.mark.parametrize("page", ["scorecards", "submissions"])
def test_the_pages_of_stewards_lead_to_the_facility(home: Path, page: str) -> None:
    app = open_page(page, area="P50", facility="11119")
    links = [element.proto for element in app.get("page_link")]
    assert [(link.page, "facility=11119" in link.query_string) for link in links] == [("facility", True)]
