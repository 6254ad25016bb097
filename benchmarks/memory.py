"""Peak memory of ingestion as the zips become more, and as one zip becomes larger.

    python -m benchmarks.memory [--megabytes 128] [--zips 100]

Both grow to 4 times, 512 MB of text in one zip and 400 zips: beyond that a zip is refused as too large. Each is landed
once: peaks of the whole process tree hardly differ from run to run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.country import (
    SENT_AT,
    Material,
    country_arguments,
    facility_codes,
    land,
    make_country,
    material,
    write_delivery,
    write_registry,
)
from benchmarks.measuring import Cost, measured, show_costs
from benchmarks.results import Result, Target, memory, report

TIMES = (1, 4)
FILES = ("PERSON", "SERVICE", "DIAGNOSIS_OPD", "DRUG_OPD")
"""The files that make up most of what a hospital sends."""

LIMIT_MIB = 1024
GROWTH = 1.10


def repeated(header: bytes, lines: list[bytes], code: bytes, size: int) -> Iterator[bytes]:
    """Text of about `size` bytes: the lines again and again, each time with another SEQ (of PERSON, another PID)."""
    names = header.split(b"|")
    place = names.index(b"SEQ" if b"SEQ" in names else b"PID")
    block = []
    for line in lines[:20_000]:
        cells = line.split(b"|")
        cells[place] += b"\0"
        block.append(code + b"|".join(cells) + b"\n")
    template = b"".join(block[: max(1, size * len(block) // sum(map(len, block)))])
    yield header + b"\n"
    written, number = 0, 0
    while written < size:
        text = template.replace(b"\0", b"%03d" % number)
        yield text
        written += len(text)
        number += 1


def write_repeated(rows: Material, folder: Path, code: str, size: int) -> None:
    """One zip of `size` bytes of text, shared evenly by `FILES`."""
    texts = [(file, repeated(*rows[file], code.encode(), size // len(FILES))) for file in FILES]
    write_delivery(folder, code, SENT_AT, texts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--megabytes", type=int, default=128, help="text of the one zip at 1x")
    parser.add_argument("--zips", type=int, default=100, help="number of zips at 1x, each of 4 MB of text")
    arguments = parser.parse_args()
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", country_arguments(None).parse_args(["--facilities", "13", "--months", "1"]))
        rows = material(root / "country" / "deliveries")
        codes = facility_codes(max(TIMES) * arguments.zips)
        registry = root / "registry.csv"
        write_registry(registry, codes)
        for times in TIMES:
            more, larger = root / f"more{times}", root / f"larger{times}"
            more.mkdir()
            larger.mkdir()
            for code in codes[: times * arguments.zips]:
                write_repeated(rows, more, code, 4 << 20)
            write_repeated(rows, larger, codes[0], times * arguments.megabytes << 20)
            for source in (more, larger):
                costs[source.name] = measured(partial(land, source, registry, root / f"home-{source.name}"))
    if refused := [name for name, cost in costs.items() if not cost.rows]:
        raise SystemExit(f"Nothing was landed of {', '.join(refused)}: that is no measurement.")
    words = {"more": f"{arguments.zips} zips × ", "larger": f"one zip of {arguments.megabytes} MB × "}
    show_costs("Memory", {_title(name, words): cost for name, cost in costs.items()}, runs=1)
    lines = [
        memory(f"memory of {times} times the {name} ÷ once", costs[f"{start}{times}"], costs[f"{start}1"], GROWTH)
        for start, name in (("more", "zips"), ("larger", "bytes"))
        for times in TIMES[1:]
    ]
    lines.append(Target("largest peak", max(cost.memory for cost in costs.values()), LIMIT_MIB, unit="MiB"))
    report(Result("memory", f"{arguments.zips} zips of 4 MB, one of {arguments.megabytes} MB", lines))


def _title(name: str, words: dict[str, str]) -> str:
    start = name.rstrip("0123456789")
    return words[start] + name.removeprefix(start)


if __name__ == "__main__":
    main()
