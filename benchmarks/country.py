"""The synthetic country that the benchmarks take in, and deliveries repacked from its rows."""

from __future__ import annotations

import argparse
import csv
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path

import polars as pl

from benchmarks.measuring import RUNS
from identity.keys import create_keys
from ingestion.feed import STANDARD, load_feeds
from ingestion.job import ingest
from ingestion.reference import load
from ingestion.synthetic import generate
from ingestion.text import UTF8_BOM, UndecodableError, to_utf8
from ruam.geography import PROVINCES
from ruam.settings import Settings

START = date(2024, 4, 1)
SENT_AT = datetime(2025, 6, 1)  # noqa: DTZ001 - senders write local time
"""Of repacked deliveries: later than every row in them."""

Material = dict[str, tuple[bytes, list[bytes]]]
"""By file: the header line, and the lines without their first cell, which is the sender's HOSPCODE. UTF-8, no LF."""


def country_arguments(description: str | None) -> argparse.ArgumentParser:
    """Size of the synthetic country, from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--facilities", type=int, default=24)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--scale", type=float, default=0.4)
    parser.add_argument("--runs", type=int, default=RUNS, help="of which the median is shown")
    return parser


def told(size: argparse.Namespace) -> str:
    """The size in words, by which results are compared."""
    return f"{size.facilities} facilities, {size.months} months, scale {size.scale:g}"


def make_country(folder: Path, size: argparse.Namespace) -> None:
    """A country whose facilities are registered in two regions by turns.

    Some 1,000 facilities send to a real region, so that its batches are full; those of a small country's thirteen would
    be nearly empty. The default size gives 13,000 rows a zip, about what a facility of the nation has in a month (300
    million visits a year of 7.5 rows, 14,000 facilities).
    """
    generate(folder, facilities=size.facilities, months=size.months, scale=size.scale, seed=1, start=START)
    registry = pl.read_csv(folder / "registry.csv", infer_schema=False)
    province = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("50")).otherwise(pl.lit("40"))
    registry.with_columns(province.alias("provcode")).write_csv(folder / "registry.csv")


def zips_in(folder: Path) -> list[Path]:
    """All zips below a folder, in order of name."""
    return sorted(folder.rglob("*.zip"), key=lambda path: path.name)


def new_home(folder: Path, registry: Path, workers: int = 2) -> Settings:
    """Settings of a new data home with keys and a registry."""
    settings = Settings(home=folder, workers=workers)
    home = settings.data_home
    home.create()
    create_keys(home.keys)
    load(home, "registry", registry, START)
    return settings


def land(deliveries: Path, registry: Path, home: Path) -> int:
    """Ingest a folder into a new home; the number of rows that came."""
    return sum(outcome.n_rows for outcome in ingest(new_home(home, registry), [deliveries]).outcomes)


def members(deliveries: Path) -> Iterator[tuple[Path, str, bytes]]:
    """Zip, file of the standard and UTF-8 text (LF) of every member that can be read."""
    for path in zips_in(deliveries):
        if not zipfile.is_zipfile(path):
            continue
        with zipfile.ZipFile(path) as opened:
            for info in opened.infolist():
                file = load_feeds()[STANDARD].table_of(info.filename)
                if file:
                    try:
                        text, _ = to_utf8(opened.read(info).removeprefix(UTF8_BOM))
                    except (zipfile.BadZipFile, RuntimeError, UndecodableError):
                        continue
                    yield path, file, text.replace(b"\r\n", b"\n")


def extract(deliveries: Path, out: Path) -> None:
    """Unzip and decode every member into a folder for each file of the standard."""
    for path, file, text in members(deliveries):
        target = out / file / f"{path.stem}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)


def material(deliveries: Path) -> Material:
    """The sound rows of the country in one layout for each file, for deliveries of other make."""
    found: Material = {}
    for _, file, text in members(deliveries):
        header, _, body = text.partition(b"\n")
        if not header.startswith(b"HOSPCODE|") or found.setdefault(file, (header, []))[0] != header:
            continue
        n_pipes = header.count(b"|")
        found[file][1].extend(line[line.index(b"|") :] for line in body.split(b"\n") if line.count(b"|") == n_pipes)
    return found


def write_delivery(
    folder: Path, hospcode: str, sent_at: datetime, texts: Iterable[tuple[str, Iterable[bytes]]]
) -> None:
    """A zip with the name that the standard wants."""
    path = folder / f"F43_{hospcode}_{sent_at:%Y%m%d%H%M%S}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for file, pieces in texts:
            with out.open(f"{file}.txt", "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)


def repack(source: Material, folder: Path, n_zips: int) -> list[str]:
    """Share the rows out evenly over `n_zips` facilities, one zip each; their codes."""
    folder.mkdir(parents=True)
    codes = facility_codes(n_zips)
    for place, code in enumerate(codes):
        start = code.encode()
        texts = []
        for file, (header, lines) in source.items():
            mine = lines[place * len(lines) // n_zips : (place + 1) * len(lines) // n_zips]
            if mine:
                texts.append((file, [b"\n".join([header, *(start + line for line in mine), b""])]))
        write_delivery(folder, code, SENT_AT, texts)
    return codes


def facility_codes(n: int) -> list[str]:
    return [f"{10001 + place:05d}" for place in range(n)]


def write_registry(path: Path, codes: Iterable[str]) -> None:
    """A registry of small facilities, in turn from each province."""
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        provinces = [row["province_code"] for row in csv.DictReader(handle)]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["hoscode", "hosname", "hostype", "provcode"])
        writer.writerows(
            [code, f"รพ.สต.สมมติ {code}", "18", provinces[place % len(provinces)]] for place, code in enumerate(codes)
        )
