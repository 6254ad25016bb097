"""A national year, as far as one machine holds it, and what 300 million visits would take.

    python -m benchmarks.national FOLDER [--scales 0.05 0.75 3.75 15 30] [--memory-limit 5GB] [--until build]

A country of each scale (1.33 million visits a year at 1) is generated, ingested, taken into the vault, linked, built,
checked and published by Ruam's own commands, one after another on an empty data home. What each step took is kept in
FOLDER, and a run that is called again goes on with the step that was not finished: a national year takes longer than a
night. What later steps do not read is deleted on the way: the senders' zips, and, but for costs, whatever a scale
made when all its steps are done (the largest stays, to be looked at).

Then, step by step, what a run costs whatever the size and a power of the visits are fitted to all scales but the
largest, which is held back: what they say of that one, against what was measured, is the model's error. Fitted to all,
they say what 300 million visits take.
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

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares

from benchmarks.country import START
from benchmarks.measuring import Cost, measured
from benchmarks.results import Result, Target, report
from ingestion.synthetic import generate
from ruam.home import DataHome

SCALES = (0.05, 0.75, 3.75, 15.0, 30.0)
"""The first shows what a step costs whatever the size."""
FACILITIES = 40
"""Of a country of scale 1: what one serves does not grow with the scale."""
NATION = 300_000_000
"""Visits of a year, which `benchmarks.country` takes for the nation too."""
CORES = 64
"""Of the larger machine, taken to be kept as busy, each, as those of this one."""
OF_THE_NATION = ("300 million visits: CPU h", f"hours of {CORES} cores")
"""Columns of the model's table."""
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


@dataclass(frozen=True)
class Model:
    """CPU seconds of a step: `fixed + factor * visits ** power`."""

    fixed: float
    factor: float
    power: float

    def __call__(self, visits: int) -> float:
        return self.fixed + self.factor * math.pow(visits, self.power)


def fitted(costs: Mapping[int, float]) -> Model:
    """The model of least squares of the logarithms, by visits: small sizes count as much as large ones.

    Raises `ValueError` for fewer than three sizes, which fit any power.
    """
    if len(costs) < 3:
        raise ValueError("A fixed part, a factor and a power want three sizes.")
    smallest, largest = min(costs), max(costs)
    sizes, logs = np.array(list(costs)) / largest, np.log(list(costs.values()))

    def misses(guess: np.ndarray) -> np.ndarray:
        fixed, level, power = guess
        return np.log(fixed + np.exp(level) * sizes**power) - logs

    start = (costs[smallest] / 2, math.log(costs[largest]), 1.0)
    bounds = ((0.0, -np.inf, 0.5), (costs[smallest], np.inf, 2.0))
    fixed, level, power = least_squares(misses, start, bounds=bounds, x_scale=(start[0], 1.0, 0.1)).x
    return Model(float(fixed), math.exp(level - power * math.log(largest)), float(power))


def model(countries: list[Country]) -> Iterator[Target]:
    """Of each step, and of all of them: the error at the scale that is held back, and what the nation takes."""
    table = Table(
        "step", "fixed, CPU s", "power", "held back: predicted, CPU s", "measured, CPU s", "error", *OF_THE_NATION
    )
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
        told = fitted(known)(largest)
        error = told / costs[largest] - 1
        of_all = fitted(costs)
        nation = of_all(NATION) / 3600
        table.add_row(
            *(name, f"{of_all.fixed:,.1f}", f"{of_all.power:.3f}", f"{told:,.0f}", f"{costs[largest]:,.0f}"),
            *(f"{error:+.1%}", f"{nation:,.1f}", f"{nation / CORES / _busy(countries[-1], name):,.1f}"),
        )
        yield Target(f"error of the model at the scale held back: {name}", abs(error), ERROR)
    Console().print(table)


def _busy(country: Country, name: str) -> float:
    """Which share of this machine's cores a step kept busy."""
    steps = [country.costs[name]] if name in country.costs else [country.costs[step] for step in STEPS[1:]]
    return sum(cost.cpu for cost in steps) / sum(cost.wall for cost in steps) / (os.cpu_count() or 1)


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
    if len(countries) > 3:
        visits = [one.costs["generate"].rows for one in countries]
        report(Result("national", ", ".join(f"{n:,}" for n in visits) + " visits", list(model(countries))))


if __name__ == "__main__":
    main()
