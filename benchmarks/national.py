"""A national year, as far as one machine holds it, and what 300 million visits would take.

    python -m benchmarks.national FOLDER [--scales 0.75 3.75 15 30] [--memory-limit 5GB] [--until build]

A country of each scale (1.33 million visits a year at 1) is generated, ingested, taken into the vault, linked, built,
checked and published by Ruam's own commands, one after another on an empty data home. What each step took is kept in
FOLDER, and a run that is called again goes on with the step that was not finished: a national year takes longer than a
night. What later steps do not read is deleted on the way: the senders' zips, and, but for costs, whatever a scale
made when all its steps are done (the largest stays, to be looked at).

Then, step by step, a power of the visits is fitted to all scales but the largest, which is held back: what it says of
that one, against what was measured, is the model's error. Fitted to all, it says what 300 million visits take.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import linear_regression

from rich.console import Console
from rich.table import Table

from benchmarks.country import START
from benchmarks.measuring import Cost, measured
from benchmarks.results import Result, Target, report
from ingestion.synthetic import generate
from ruam.home import DataHome

SCALES = (0.75, 3.75, 15.0, 30.0)
FACILITIES = 40
"""Of a country of scale 1: what one serves does not grow with the scale."""
NATION = 300_000_000
"""Visits of a year, which `benchmarks.country` takes for the nation too."""
ERROR = 0.15
"""Of the prediction for the scale that was held back: an own target."""

STEPS = ("generate", "ingest", "take-in", "link", "build", "check", "publish")
COMMANDS: Mapping[str, list[str]] = {
    "take-in": ["identity", "take-in", "--purpose", "benchmark"],
    "link": ["identity", "link", "--purpose", "benchmark"],
    "build": ["build", "--full-refresh"],
    "check": ["check", "warehouse"],
    "publish": ["publish"],
}


@dataclass(frozen=True)
class Country:
    """One scale in its folder: `country` as the generator leaves it, `home`, `costs.json`."""

    folder: Path
    scale: float
    memory_limit: str

    @property
    def home(self) -> DataHome:
        return DataHome(self.folder / "home")

    @property
    def costs(self) -> dict[str, Cost]:
        """Of the steps that are done."""
        path = self.folder / "costs.json"
        if not path.exists():
            return {}
        return {name: Cost(**cost) for name, cost in json.loads(path.read_text(encoding="utf-8")).items()}

    def keep(self, step: str, cost: Cost) -> None:
        known = self.costs | {step: cost}
        path = self.folder / "costs.json"
        path.with_suffix(".new").write_text(json.dumps({name: asdict(one) for name, one in known.items()}))
        path.with_suffix(".new").replace(path)


def made(country: Country) -> int:
    """Generate the country; the number of its visits."""
    facilities = max(13, round(FACILITIES * country.scale))
    return generate(
        country.folder / "country", facilities=facilities, months=12, scale=country.scale, seed=1, start=START
    ).n_visits


def commanded(home: Path, arguments: list[str], memory_limit: str) -> int:
    """Run a command of Ruam against a data home. Raises `CalledProcessError` when it fails."""
    settings = {"RUAM_HOME": str(home), "RUAM_MEMORY_LIMIT": memory_limit, "RUAM_WORKERS": str(os.cpu_count() or 1)}
    subprocess.run([sys.executable, "-m", "ruam.cli", *arguments], env=os.environ | settings, check=True)  # noqa: S603
    return 0


def begun(country: Country) -> None:
    """A data home with keys, a registry and a drug map."""
    shutil.rmtree(country.home.root, ignore_errors=True)
    commanded(country.home.root, ["init"], country.memory_limit)
    for kind in ("registry", "drugs"):
        file = str(country.folder / "country" / f"{kind}.csv")
        commanded(
            country.home.root, ["reference", "load", kind, file, "--as-of", START.isoformat()], country.memory_limit
        )


def step(country: Country, name: str) -> int:
    """Do one step; the number of visits where it knows them, else 0."""
    if name == "generate":
        return made(country)
    if name == "ingest":
        begun(country)
    arguments = COMMANDS.get(name, ["ingest", str(country.folder / "country" / "deliveries")])
    return commanded(country.home.root, arguments, country.memory_limit)


def run(country: Country, until: str) -> None:
    """Do the steps that are left."""
    country.folder.mkdir(parents=True, exist_ok=True)
    for name in STEPS[: STEPS.index(until) + 1]:
        if name in country.costs:
            continue
        if name == "generate":
            shutil.rmtree(country.folder / "country", ignore_errors=True)
        cost = measured(partial(step, country, name))
        visits = cost.rows or next(iter(country.costs.values())).rows
        country.keep(name, Cost(cost.cpu, cost.wall, cost.memory, visits))
        Console().print(f"{country.scale:g}: {name}: {cost.cpu:,.0f} CPU s, {cost.wall:,.0f} s, {cost.memory:,.0f} MiB")
        if name == "ingest":
            shutil.rmtree(country.folder / "country" / "deliveries")
            shutil.rmtree(country.home.inbox)
            country.home.inbox.mkdir()


def fitted(costs: Mapping[int, float]) -> tuple[float, float]:
    """Power and factor of visits, by least squares of the logarithms."""
    line = linear_regression([math.log(n) for n in costs], [math.log(cost) for cost in costs.values()])
    return line.slope, math.exp(line.intercept)


def predicted(costs: Mapping[int, float], visits: int) -> float:
    power, factor = fitted(costs)
    return factor * math.pow(visits, power)


def model(countries: list[Country]) -> Iterator[Target]:
    """Of each step, and of all of them: the error at the scale that is held back, and what the nation takes."""
    table = Table("step", "power", "held back: predicted", "measured", "error", "300 million visits, CPU h")
    by_step = {
        name: {one.costs["generate"].rows: one.costs[name].cpu for one in countries}
        for name in STEPS
        if name != "generate" and all(name in one.costs for one in countries)
    }
    by_step["all of Ruam"] = {
        visits: sum(costs[visits] for costs in by_step.values()) for visits in next(iter(by_step.values()))
    }
    for name, costs in by_step.items():
        largest = max(costs)
        known = {visits: cost for visits, cost in costs.items() if visits != largest}
        told = predicted(known, largest)
        error = told / costs[largest] - 1
        nation = predicted(costs, NATION) / 3600
        table.add_row(
            *(name, f"{fitted(costs)[0]:.3f}", f"{told:,.0f} CPU s", f"{costs[largest]:,.0f} CPU s"),
            *(f"{error:+.1%}", f"{nation:,.1f}"),
        )
        yield Target(f"error of the model at the scale held back: {name}", abs(error), ERROR)
    Console().print(table)


def sizes(country: Country) -> dict[str, int]:
    """Bytes of what stays: landing, vault, warehouse, serving files."""
    home = country.home
    return {
        path.name: sum(one.stat().st_size for one in (path, *path.rglob("*")) if one.is_file())
        for path in (home.landing, home.vault, home.warehouse, home.serving)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scales", type=float, nargs="+", default=list(SCALES))
    parser.add_argument("--memory-limit", default="5GB")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1])
    chosen = parser.parse_args()
    countries = [
        Country(chosen.folder.absolute() / f"{scale:g}", scale, chosen.memory_limit) for scale in sorted(chosen.scales)
    ]
    for country in countries:
        run(country, chosen.until)
        if country is not countries[-1] and STEPS[-1] in country.costs:
            shutil.rmtree(country.home.root, ignore_errors=True)
            shutil.rmtree(country.folder / "country", ignore_errors=True)
    if chosen.until != STEPS[-1]:
        return
    for name, size in sizes(countries[-1]).items():
        Console().print(f"{name}: {size / 1e9:.1f} GB")
    if len(countries) > 2:
        visits = [one.costs["generate"].rows for one in countries]
        report(Result("national", ", ".join(f"{n:,}" for n in visits) + " visits", list(model(countries))))


if __name__ == "__main__":
    main()
