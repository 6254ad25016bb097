"""The national year as a benchmark: nothing is done twice, and the model is held against what it did not see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import national
from benchmarks.measuring import Cost
from benchmarks.national import COMMANDS, STEPS, Country, fitted, model, run

VISITS = (50_000, 1_000_000, 5_000_000, 20_000_000, 40_000_000)


def _countries(folder: Path, cpu: Callable[[int], float]) -> list[Country]:
    countries = [Country(folder / str(visits), 1, "1GB") for visits in VISITS]
    for country, visits in zip(countries, VISITS, strict=True):
        country.folder.mkdir()
        for step in STEPS:
            country.keep(step, Cost(cpu(visits), 1.0, 1.0, visits))
    return countries


@pytest.mark.parametrize(("fixed", "power"), [(45.0, 1.04), (0.0, 1.0), (45.0, 0.97)])
def test_what_every_run_costs_and_a_power_of_the_visits_are_found_and_foretell(fixed: float, power: float) -> None:
    found = fitted({visits: fixed + 2e-4 * visits**power for visits in VISITS})
    assert found.power == pytest.approx(power, abs=1e-3)
    assert found.fixed == pytest.approx(fixed, abs=0.1)
    assert found(300_000_000) == pytest.approx(fixed + 2e-4 * 300_000_000**power, rel=1e-3)


def test_two_sizes_are_no_model() -> None:
    with pytest.raises(ValueError, match="three sizes"):
        fitted({1_000: 1.0, 2_000: 2.0})


def test_the_error_is_that_at_the_scale_the_model_did_not_see(tmp_path: Path) -> None:
    countries = _countries(tmp_path, lambda visits: 3e-4 * visits * (0.8 if visits == VISITS[-1] else 1))
    errors = {line.words.rpartition(": ")[2]: line.value for line in model(countries)}
    assert errors.keys() == {"ingest", *COMMANDS, "all of Ruam"}
    assert list(errors.values()) == pytest.approx([0.25] * len(errors), rel=1e-3)


def test_a_run_that_is_called_again_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def did(country: Country, name: str) -> int:
        done.append(name)
        if name == "generate":
            country.home.inbox.mkdir(parents=True)
            (country.folder / "country" / "deliveries").mkdir(parents=True)
        return 7 if name == "generate" else 0

    monkeypatch.setattr(national, "step", did)
    monkeypatch.setattr(national, "measured", lambda work: Cost(1.0, 2.0, 3.0, work()))
    country = Country(tmp_path / "country", 1, "1GB")
    run(country, "link")
    assert done == ["generate", "ingest", "take-in", "link"]
    assert not (country.folder / "country" / "deliveries").exists()
    run(country, "publish")
    assert done == list(STEPS)
    assert {cost.rows for cost in country.costs.values()} == {7}, "each step is told by the visits of the country"
