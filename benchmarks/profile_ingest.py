"""A flame graph of landing one region in one process, as SVG.

    python -m benchmarks.profile_ingest [--out docs/decisions/hot-path.svg] [--facilities 60] [--months 3] [--scale 0.5]

py-spy (extra `bench`) samples the stacks 200 times a second. The data frames get one thread, which Python waits for,
so that their time shows under the call that asked for it; width is wall time, which on a machine with nothing else to
do is CPU time. Calls inside of libraries are folded into the library's first call, and calls below 0.4 % are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from benchmarks.country import country_arguments, make_country, new_home, zips_in
from identity.intake import Intake
from identity.keys import load_keys
from ingestion.batch import Delivery, land_batch
from ingestion.delivery import content_hash, sender_of
from ingestion.landing import batch_id, utc_now
from ingestion.reference import current_registry
from ruam.settings import PROJECT, Settings

OURS = ("ingestion/", "identity/", "ruam/")
ROOT = "land_batch"
LEAST = 0.004
WIDTH, ROW, FONT = 1200, 18, 11
_COLOURS = {"ours": "#f4a261", "polars": "#8ecae6", "pyarrow": "#a3b18a", "other": "#d6d6d6"}


@dataclass
class Call:
    """A call in the graph: samples in it, and what it called."""

    samples: int = 0
    calls: dict[str, Call] = field(default_factory=lambda: defaultdict(Call))


def land_all(deliveries: Path, home: Path) -> None:
    """Land every delivery of a known sender as one region's batches."""
    settings = Settings(home=home)
    stores = settings.data_home
    keys, registry = load_keys(stores.keys), tuple((code, "01") for code in current_registry(stores)["hoscode"])
    found = []
    for path in zips_in(deliveries):
        sender = sender_of(path.name)
        size = path.stat().st_size
        found.append(Delivery(content_hash(path), path, path.name, sender.hospcode, sender.sent_at, utc_now(), size))
    for at in range(0, len(found), settings.batch_zips):
        batch = found[at : at + settings.batch_zips]
        where = (stores.landing, Intake.of(stores), "01", batch_id(utc_now()))
        land_batch(*where, batch, registry, keys, settings.limits, stores.spill)


def record(deliveries: Path, home: Path, out: Path) -> str:
    """Stacks of a landing, one a line: calls from the outermost in, then the number of samples."""
    spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if spy is None:
        sys.exit("py-spy is not installed: `make profile` installs it and runs this.")
    command = [spy, "record", "--idle", "--rate", "200", "--format", "raw", "--full-filenames", "--output", str(out)]
    work = [sys.executable, "-m", "benchmarks.profile_ingest", "--land", str(deliveries), "--home", str(home)]
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--", *work], check=True, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
    return out.read_text(encoding="utf-8")


def tree_of(stacks: str) -> Call:
    """The stacks below `ROOT` as a tree of calls."""
    root = Call()
    for stack in stacks.splitlines():
        frames, _, samples = stack.rpartition(" ")
        names = list(_names(frames.split(";")))
        if ROOT not in names:
            continue
        call = root
        call.samples += int(samples)
        for name in names[names.index(ROOT) + 1 :]:
            call = call.calls[name]
            call.samples += int(samples)
    return root


def _names(frames: list[str]) -> Iterator[str]:
    """Our own calls one by one; of a run of calls inside of libraries only the first, with the library's name."""
    inside = False
    for frame in frames:
        name, _, place = frame.partition(" (")
        path = place.rpartition(":")[0].removeprefix(str(PROJECT) + os.sep)
        if path.startswith(OURS):
            yield name
            inside = False
        elif not inside and "<locals>" not in name:  # A decorator of the library says nothing.
            library = path.partition("site-packages/")[2].partition("/")[0]
            yield f"{library}: {name}" if library else name
            inside = True


def svg(root: Call) -> str:
    """The tree as a picture: outermost call on top, width by samples."""
    boxes = list(_boxes(ROOT, root, 0, 0, root.samples))
    height = (max(depth for depth, *_ in boxes) + 1) * ROW + 30
    shapes = []
    for depth, left, share, name in boxes:
        x, width, y = left * WIDTH, share * WIDTH, depth * ROW + 26
        words = f"{name} {share:.1%}"
        fits = int((width - 6) / (FONT * 0.56))
        label = words if len(words) <= fits else name[:fits] if fits >= 4 else ""
        shapes.append(
            f'<g><title>{escape(words)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.6, 0.4):.1f}" '
            f'height="{ROW - 1}" fill="{_colour(name)}"/>'
            f'<text x="{x + 3:.1f}" y="{y + 13}">{escape(label)}</text></g>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="{FONT}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="3" y="16">Landing a region, {root.samples:,} samples: orange is Ruam, blue polars, green pyarrow, '
        f"grey Python</text>{''.join(shapes)}</svg>\n"
    )


def _boxes(name: str, call: Call, depth: int, left: int, whole: int) -> Iterator[tuple[int, float, float, str]]:
    """Depth, left edge and width as shares of the whole, and name of each call that is wide enough."""
    yield depth, left / whole, call.samples / whole, name
    for inner, one in sorted(call.calls.items(), key=lambda item: -item[1].samples):
        if one.samples >= LEAST * whole:
            yield from _boxes(inner, one, depth + 1, left, whole)
        left += one.samples


def _colour(name: str) -> str:
    library, _, rest = name.partition(": ")
    if rest:
        return _COLOURS.get(library, _COLOURS["other"])
    return _COLOURS["ours"]


def main() -> None:
    parser: argparse.ArgumentParser = country_arguments(__doc__)
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "decisions" / "hot-path.svg")
    parser.add_argument("--land", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.land:
        land_all(arguments.land, arguments.home)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        new_home(root / "home", root / "country" / "registry.csv")
        stacks = record(root / "country" / "deliveries", root / "home", root / "stacks.txt")
    arguments.out.write_text(svg(tree_of(stacks)), encoding="utf-8")


if __name__ == "__main__":
    main()
