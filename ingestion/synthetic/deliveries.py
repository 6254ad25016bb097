"""From the visits of some facilities to their zips, and to the truth about what was put in them.

One chunk of facilities is one task: it reads what it needs from the spill folder, so that workers share nothing and
the bytes depend on the arguments alone, never on the number of workers.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.synthetic import clerks, register, tables, truth, workups
from ingestion.synthetic.catalogue import Bools, Catalogue, Ints, load_catalogue
from ingestion.synthetic.faults import (
    APPOINTMENT_FAULTS,
    CARD_FAULTS,
    DIAGNOSIS_FAULTS,
    DUPLICATES_PER_MILLION,
    ORPHANS_PER_MILLION,
    PERSON_FAULTS,
    SERVICE_FAULTS,
    Fault,
    damage,
    mend,
    planted,
    rejected,
)
from ingestion.synthetic.people import Period
from ingestion.synthetic.schedule import base_by_month, next_sent
from ingestion.synthetic.standard import EXTRA_COLUMN, columns_of
from ingestion.synthetic.tables import Texts

COMPRESSION = 2
"""zlib level: 3.6 times as fast as 6 for a quarter more bytes, measured on a hospital's zip."""
LATE_SERVICE = 0.25
"""Of the visits in the last three days of a month at sloppy senders: the SERVICE row goes with the next zip."""
CORRECTED = 0.3
"""Of the rows of a zip that a companion repeats: stated again, changed."""
FIXED_TIME = (2024, 1, 1, 0, 0, 0)
"""Of every zip member: equal arguments give equal bytes."""


@dataclass(frozen=True)
class Chunk:
    """Facilities first_f … last_f - 1 of a country whose parts lie in `spill`."""

    number: int
    first_f: int
    last_f: int
    seed: int
    period: Period
    spill: Path
    out: Path
    least: int
    """Rows of each fault class that a chunk plants at least."""


@dataclass
class Ledger:
    """What one chunk's zips hold, by zip and file."""

    rows: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    rejects: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    flags: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def note(self, file: str, d: pl.Series, faults: tuple[Fault, ...], kinds: Ints) -> None:
        for index, fault in enumerate(faults):
            self.note_all(file, fault.name, d.filter(pl.Series(kinds == index + 1)), fault.rejects)

    def note_all(self, file: str, name: str, d: pl.Series, rejects: bool = False) -> None:
        # A newline inside a cell makes two lines, both with too few cells.
        lines = 2 if name == "embedded_newline" else 1
        target = self.rejects if rejects else self.flags
        for key, n in d.filter(d >= 0).value_counts(sort=True).sort("d").iter_rows():
            target[key, file, name] += n * lines
            if lines == 2:
                self.rows[key, file] += n


@dataclass
class ChunkResult:
    n_rows: int
    n_bytes: int
    n_zips: int


@dataclass
class _Context:
    """What every step of a chunk needs: the country around it, its random numbers, and its ledger."""

    chunk: Chunk
    catalogue: Catalogue
    texts: Texts
    facilities: pl.DataFrame
    provinces: pl.DataFrame
    deliveries: pl.DataFrame
    month: Ints
    """Month of each day of the period."""
    grid: Ints
    """(facility, month) to d of the monthly zip, -1 where none was sent."""
    following: Ints
    """The same for the first monthly zip in or after the month."""
    rng: np.random.Generator
    ledger: Ledger

    @classmethod
    def of(cls, chunk: Chunk) -> _Context:
        facilities = pl.read_parquet(chunk.spill / "facilities.parquet")
        deliveries = pl.read_parquet(chunk.spill / "deliveries.parquet")
        month = pl.read_parquet(chunk.spill / "months.parquet")["m"].to_numpy()
        grid = base_by_month(deliveries, len(facilities), int(month.max()) + 1)
        return cls(
            chunk=chunk,
            catalogue=load_catalogue(),
            texts=Texts.of(chunk.period.start),
            facilities=facilities,
            provinces=pl.read_parquet(chunk.spill / "provinces.parquet"),
            deliveries=deliveries,
            month=month,
            grid=grid,
            following=next_sent(grid),
            rng=np.random.default_rng([chunk.seed, 3, chunk.first_f, chunk.last_f]),
            ledger=Ledger(),
        )

    def own(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the chunk's facilities."""
        return frame.filter(pl.col("f").is_between(self.chunk.first_f, self.chunk.last_f - 1))


def _enrich(c: _Context, visits: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Visits with their person's and facility's texts: the VISIT_KEYS, instype, main, sub, d (of SERVICE), dc (of the
    other files), row; visits that no zip holds are left out."""
    f, day = visits["f"].to_numpy(), visits["day"].to_numpy()
    visits = visits.with_columns(dc=pl.Series(c.grid[f, c.month[day]]), m=pl.Series(c.month[day])).with_columns(
        SEQ=pl.int_range(1, pl.len() + 1).over("f").cast(pl.String).str.zfill(10)
    )
    v = visits.filter(pl.col("dc") >= 0).join(
        known.select(
            "f",
            "person",
            "pid",
            "cid",
            "hospcode",
            "hospcode9",
            "instype",
            "chronic",
            "main",
            "sub",
            "main2",
            "sub2",
            "move_day",
            "death_day",
            "kind",
        ),
        on=["f", "person"],
        how="left",
        maintain_order="left",
    )
    f, day, sec = (v[name].to_numpy() for name in ("f", "day", "sec"))
    months = c.grid.shape[1]
    following = c.grid[f, np.minimum(v["m"].to_numpy() + 1, months - 1)]
    sloppy = c.facilities["sloppy"].to_numpy()[f]
    ends = c.month[np.minimum(day + 3, len(c.month) - 1)] > v["m"].to_numpy()
    late = sloppy & ends & (following >= 0) & (c.rng.random(len(v)) < LATE_SERVICE)
    moved = pl.col("day") >= pl.col("move_day")
    private = (c.facilities["level"] == "private").to_numpy()[f]
    # In a private hospital that is not one's own many pay themselves: assumption.
    pays = private & (v["main"].to_numpy() != f) & (c.rng.random(len(v)) < 0.4)
    return v.with_columns(
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PID="pid",
        CID="cid",
        DATE_SERV=c.texts.day(day),
        PROVIDER=pl.Series(c.rng.integers(0, tables.PROVIDERS_PER_FACILITY, len(v))).cast(pl.String).str.zfill(5),
        D_UPDATE=c.texts.stamp(day + 1, sec),
        instype=pl.when(pl.Series(pays)).then(pl.lit("9100")).otherwise("instype"),
        main=pl.when(moved).then("main2").otherwise("main"),
        sub=pl.when(moved).then("sub2").otherwise("sub"),
        d=pl.Series(np.where(late, following, v["dc"].to_numpy())),
        late=pl.Series(late),
    ).with_row_index("row")


@dataclass
class _Service:
    """SERVICE as it is finally, as the zips say it, and which visits come of it."""

    final: pl.DataFrame
    prices: pl.Series
    rows: pl.DataFrame
    """All rows that are sent, with `d`."""
    stands: pl.Series
    """For each visit: whether a row of it is taken in."""


def _service(c: _Context, v: pl.DataFrame) -> _Service:
    whole = tables.service(v, c.catalogue, c.texts, c.rng, c.facilities)
    f = v["f"].to_numpy()
    companions = c.deliveries.filter(pl.col("kind").is_in(["correction", "correction_same_time", "stale"]))
    by_base = dict(zip(companions["base"], companions["d"], strict=True))
    companion = v["d"].replace_strict(by_base, default=-1, return_dtype=pl.Int64).to_numpy()
    repeated = (companion >= 0) & ~v["late"].to_numpy() & (c.rng.random(len(v)) < CORRECTED)
    sloppy = (c.facilities["sloppy"] & c.facilities["header"]).to_numpy()[f]
    clean = (companion < 0) & ~v["late"].to_numpy()
    kinds = planted(SERVICE_FAULTS, sloppy & clean, len(v), c.rng, c.chunk.least)
    others = c.facilities["hospcode"].gather((f + 1) % len(c.facilities))
    sent = damage(whole, SERVICE_FAULTS, kinds, others)
    c.ledger.note("SERVICE", sent["d"], SERVICE_FAULTS, kinds)

    kind_of = dict(zip(companions["d"], companions["kind"], strict=True))
    sent_at = c.deliveries["sent_at"].dt.strftime("%Y%m%d%H%M%S")
    again = np.flatnonzero(repeated)
    of = pl.Series(companion[again])
    stale = (of.replace_strict(kind_of, default="", return_dtype=pl.String) == "stale").to_numpy()
    newer = (of.replace_strict(kind_of, default="", return_dtype=pl.String) == "correction").to_numpy()
    right = whole[again].with_columns(d=of)
    wrong = _misstated(right)
    # A stale dump states old things under a new name: its D_UPDATE is of the day of the visit itself.
    old_time = pl.concat_str("DATE_SERV", pl.lit("000001"))
    second = pl.concat(
        [
            right.filter(pl.Series(newer)).with_columns(D_UPDATE=sent_at.gather(of.filter(pl.Series(newer)))),
            right.filter(pl.Series(~newer & ~stale)),
            wrong.filter(pl.Series(stale)).with_columns(D_UPDATE=old_time),
        ]
    )
    corrected = np.zeros(len(v), dtype=bool)
    corrected[again[~stale]] = True
    first = pl.concat([sent.filter(pl.Series(~corrected)), _misstated(sent.filter(pl.Series(corrected)))])
    doubles = _sample(sloppy & clean & (kinds == 0), DUPLICATES_PER_MILLION, c.chunk.least, c.rng)
    c.ledger.note_all("SERVICE", "exact_duplicate", sent["d"].gather(doubles))
    stands = ~rejected(SERVICE_FAULTS, kinds)
    return _Service(sent, whole["PRICE"], pl.concat([first, sent[doubles], second]), pl.Series(stands))


def _misstated(rows: pl.DataFrame) -> pl.DataFrame:
    """What a sender first said and later put right: right of payment, arrival and main unit."""
    return rows.with_columns(INSTYPE=pl.lit("9100"), TYPEIN=pl.lit("2"), MAIN=pl.lit(""), PRICE=pl.lit("0.00"))


def _sample(can: Bools, per_million: int, least: int, rng: np.random.Generator) -> Ints:
    rows = rng.permutation(np.flatnonzero(can))
    return np.sort(rows[: max(round(per_million * len(can) / 1e6), least)])


def _faulty(
    c: _Context, file: str, frame: pl.DataFrame, faults: tuple[Fault, ...], can: pl.Series
) -> tuple[pl.DataFrame, Ints]:
    kinds = planted(faults, (can & (frame["d"] >= 0)).to_numpy(), len(frame), c.rng, c.chunk.least)
    c.ledger.note(file, frame["d"], faults, kinds)
    return damage(frame, faults, kinds), kinds


def write_chunk(chunk: Chunk) -> ChunkResult:
    """Write the zips of the chunk's facilities, and its part of the truth into `spill/truth`."""
    c = _Context.of(chunk)
    visits = (
        pl.scan_parquet(sorted(chunk.spill.glob("visits_*.parquet")))
        .filter(pl.col("f").is_between(chunk.first_f, chunk.last_f - 1))
        .collect()
        .sort("f", "day", "sec", "person", "plant", "cond", maintain_order=True)
    )
    visits = workups.with_varieties(visits, c.catalogue, np.random.default_rng([chunk.seed, 12]))
    people = register.people_of(chunk.spill / "people.parquet", visits, chunk.first_f, chunk.last_f)
    known = register.registrations(visits, people, chunk.first_f, chunk.last_f, c.following, c.month, c.rng)
    known = known.join(
        c.facilities.select(pl.col("f").cast(pl.Int32), "hospcode", "hospcode9", "sloppy", "encoding"),
        on="f",
        how="left",
        maintain_order="left",
    )
    known = clerks.typed(known, chunk.period, np.random.default_rng([chunk.seed, 7, chunk.first_f, chunk.last_f]))
    v = _enrich(c, visits, known)
    service = _service(c, v)
    v = v.with_columns(stands=service.stands)
    frames = _other_files(c, v, known, service.prices)
    frames["SERVICE"] = service.rows
    _keep_truth(c, v, known, service, frames)
    result = _write_zips(c, frames)
    _keep_ledger(c.ledger, chunk)
    return result


def _other_files(c: _Context, v: pl.DataFrame, known: pl.DataFrame, prices: pl.Series) -> dict[str, pl.DataFrame]:
    sloppy = c.facilities.filter(pl.col("sloppy") & pl.col("header"))["hospcode"].implode()
    # Registers are written the evening before the zip.
    registered_at = c.deliveries.select(pl.col("sent_at").dt.offset_by("-1d").dt.strftime("%Y%m%d%H%M%S")).to_series()
    frames = {
        "DIAGNOSIS_OPD": tables.diagnoses_opd(v, c.catalogue, c.rng),
        "DRUG_OPD": tables.drugs_opd(v, c.catalogue, c.rng),
        "PROCEDURE_OPD": tables.procedures_opd(v, c.catalogue, c.rng),
        "CHARGE_OPD": tables.charges_opd(v, prices, c.rng),
        "ACCIDENT": tables.accidents(v, c.texts, c.rng),
        "APPOINTMENT": tables.appointments(v, c.catalogue, c.texts, c.rng),
        "LABFU": tables.labs(v, c.catalogue, c.rng),
        "REFER_HISTORY": tables.referrals(v, c.catalogue, c.texts, c.facilities),
        **tables.admissions(v, c.catalogue, c.texts, c.rng, c.month, c.grid, c.chunk.period),
    }
    frames |= {
        "PERSON": register.person_rows(known, c.texts, registered_at),
        "ADDRESS": register.address_rows(known, registered_at, c.provinces["code"]),
        "CARD": register.card_rows(known, registered_at, c.facilities),
        "CHRONIC": register.chronic_rows(known, c.texts, registered_at),
        "DEATH": register.death_rows(known, c.texts, c.following, c.month, registered_at),
        "PROVIDER": register.provider_rows(c.own(c.facilities), c.following, registered_at),
    }
    for file, rows in _workups(c, v, frames["ADMISSION"]).items():
        frames[file] = pl.concat([frames[file], rows.select(frames[file].columns)])

    def can(frame: pl.DataFrame) -> pl.Series:
        return frame["HOSPCODE"].is_in(sloppy)

    for file, faults in (("APPOINTMENT", APPOINTMENT_FAULTS), ("CARD", CARD_FAULTS)):
        frames[file], _ = _faulty(c, file, frames[file], faults, can(frames[file]))
    diagnoses = frames["DIAGNOSIS_OPD"]
    diagnoses, kinds = _faulty(c, "DIAGNOSIS_OPD", diagnoses, DIAGNOSIS_FAULTS, can(diagnoses))
    diagnoses = diagnoses.with_columns(lost=pl.Series(rejected(DIAGNOSIS_FAULTS, kinds)))
    orphans = diagnoses[
        _sample((can(diagnoses) & ~diagnoses["lost"]).to_numpy(), ORPHANS_PER_MILLION, c.chunk.least, c.rng)
    ]
    c.ledger.note_all("DIAGNOSIS_OPD", "orphan", orphans["d"])
    orphans = orphans.with_columns(
        SEQ=pl.concat_str(pl.lit("9"), pl.col("SEQ").str.tail(9)),
        principal=pl.lit(value=False),
        row=pl.lit(None, pl.UInt32),
    )
    frames["DIAGNOSIS_OPD"] = pl.concat([diagnoses, orphans])
    person = frames["PERSON"]
    # Mojibake is UTF-8 read as cp874 and saved again: it needs a sender of UTF-8.
    utf8 = person["encoding"] != "cp874"
    frames["PERSON"], _ = _faulty(c, "PERSON", person, PERSON_FAULTS, can(person) & utf8)
    for name, states in (("bad_cid", (2,)), ("dummy_cid", (3,)), ("generated_cid", (4,))):
        c.ledger.note_all("PERSON", name, person.filter(pl.col("state").is_in(states))["d"])
    return frames


def _workups(c: _Context, v: pl.DataFrame, admission: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """More rows of files that the visits have already, from a random stream of their own."""
    rng = np.random.default_rng([c.chunk.seed, 11, c.chunk.first_f, c.chunk.last_f])
    hospital = (c.facilities["level"] != "primary").to_numpy()
    return {
        "LABFU": workups.labs(v, c.catalogue, rng),
        "PROCEDURE_OPD": workups.pictures(v, c.catalogue, hospital, rng),
        "DRUG_IPD": workups.taken_home(admission, v, c.catalogue, c.texts, rng),
    }


def _keep_truth(
    c: _Context, v: pl.DataFrame, known: pl.DataFrame, service: _Service, frames: dict[str, pl.DataFrame]
) -> None:
    """Write this chunk's visits, registrations and admissions as they stand in the end."""
    folder = c.chunk.spill / "truth"
    diagnoses = frames["DIAGNOSIS_OPD"].filter(pl.col("principal") & ~pl.col("lost"))
    principal = diagnoses.select("row", principal_dx="DIAGCODE").unique("row", keep="first", maintain_order=True)
    old = c.facilities.filter(pl.col("version") == "2016")["hospcode"].implode()
    standing = (
        v.select("row", "person", "f", "day", "sec", "accident", "urgency", "plant", "stands")
        .hstack(
            service.final.select(
                *("HOSPCODE", "PID", "SEQ", "DATE_SERV", "INTIME", "TYPEIN", "TYPEOUT", "INSTYPE", "MAIN", "HSUB")
            )
        )
        .join(principal, on="row", how="left", maintain_order="left")
        .filter("stands")
        # The 2016 form has no HSUB.
        .with_columns(HSUB=pl.when(pl.col("HOSPCODE").is_in(old)).then(pl.lit("")).otherwise("HSUB"))
    )
    visits = truth.visits_table(standing, c.facilities, c.provinces, c.chunk.period)
    tables_ = {
        "visits": visits,
        "persons": truth.persons_table(known),
        "merged": truth.merged_visits(visits),
        "admissions": truth.admissions_table(frames["ADMISSION"], c.facilities, c.chunk.period),
        "codes": truth.codes_table(frames),
    }
    for name, table in tables_.items():
        table.write_parquet(folder / f"{name}_{c.chunk.number:05d}.parquet")
    for file, frame in frames.items():
        if "row" in frame.columns and file.endswith("_OPD"):
            lost = v.filter(~pl.col("stands"))["row"].implode()
            if "lost" in frame.columns:
                frame = frame.filter(~pl.col("lost"))
            c.ledger.note_all(file, "child_of_rejected", frame.filter(pl.col("row").is_in(lost))["d"])


def _keep_ledger(ledger: Ledger, chunk: Chunk) -> None:
    folder = chunk.spill / "truth"
    pl.DataFrame(
        [(d, file, n) for (d, file), n in sorted(ledger.rows.items())],
        schema={"d": pl.Int64, "file": pl.String, "n": pl.Int64},
        orient="row",
    ).write_parquet(folder / f"rows_{chunk.number:05d}.parquet")
    for name, counts in (("rejects", ledger.rejects), ("flags", ledger.flags)):
        pl.DataFrame(
            [(d, file, rule, n) for (d, file, rule), n in sorted(counts.items())],
            schema={"d": pl.Int64, "file": pl.String, "class": pl.String, "n": pl.Int64},
            orient="row",
        ).write_parquet(folder / f"{name}_{chunk.number:05d}.parquet")


def _write_zips(c: _Context, frames: dict[str, pl.DataFrame]) -> ChunkResult:
    own = c.own(c.deliveries)
    members: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
    habits = c.own(c.facilities).to_dicts()
    by_f = {habit["f"]: habit for habit in habits}
    f_of = pl.DataFrame({"d": own["d"], "at_f": own["f"]})
    layouts: dict[tuple[str, bool, bool], list[int]] = defaultdict(list)
    for habit in habits:
        layouts[habit["version"], habit["shuffled"], habit["extra"]].append(habit["f"])
    for file in sorted(frames):
        frame = frames[file].filter(pl.col("d") >= 0)
        if file == "ADDRESS":
            # Its 2016 and 2.4.1 forms have as many columns: without a header nobody could tell them apart.
            headerless = c.facilities.filter(~pl.col("header"))["hospcode"].implode()
            frame = frame.filter(~pl.col("HOSPCODE").is_in(headerless))
        frame = frame.join(f_of, on="d", how="left", maintain_order="left").sort("d", maintain_order=True)
        for (version, shuffled, extra), fs in layouts.items():
            names = columns_of(file, version, shuffled, extra)
            part = frame if len(layouts) == 1 else frame.filter(pl.col("at_f").is_in(pl.Series(fs).implode()))
            if part.is_empty():
                continue
            for d, text, n in _texts_by_zip(part, names):
                members[d].append((file, text))
                c.ledger.rows[d, file] += n
    headers = {key: {file: ("|".join(columns_of(file, *key)) + "\n").encode() for file in frames} for key in layouts}
    copied = set(own.filter(pl.col("kind").is_in(["resent", "truncated"]))["base"])
    held: dict[int, bytes] = {}
    n_bytes = 0
    for d, f, kind, base, name in own.sort("d").select("d", "f", "kind", "base", "file_name").iter_rows():
        habit = by_f[f]
        if kind == "not_a_zip":
            data = "ไฟล์นี้ไม่ใช่ zip".encode()
        elif kind == "resent":
            data = held[base]
        elif kind == "truncated":
            data = held[base][: len(held[base]) * 2 // 3]
        else:
            header = headers[habit["version"], habit["shuffled"], habit["extra"]]
            data = _zip(members.pop(d, []), header, habit, name)
        if d in copied:
            held[d] = data
        (c.chunk.out / "deliveries" / name).write_bytes(data)
        n_bytes += len(data)
    return ChunkResult(sum(c.ledger.rows.values()), n_bytes, len(own))


def _texts_by_zip(part: pl.DataFrame, names: list[str]) -> list[tuple[int, bytes, int]]:
    """(d, lines, number of rows) of each zip: one CSV of the whole part, cut at its lines."""
    missing = [pl.lit("x" if name == EXTRA_COLUMN else "").alias(name) for name in names if name not in part.columns]
    text = (
        part.with_columns(missing)
        .select(names)
        .write_csv(separator="|", include_header=False, quote_style="never", null_value="")
        .encode()
    )
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 10) + 1
    d = part["d"].to_numpy()
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(d)) + 1, [len(d)]])
    offsets = np.concatenate([[0], ends])
    return [(int(d[a]), text[offsets[a] : offsets[b]], int(b - a)) for a, b in pairwise(firsts)]


def _zip(content: list[tuple[str, bytes]], header: dict[str, bytes], habit: dict[str, object], name: str) -> bytes:
    """The zip as this sender writes it: names of members, encoding, line ends, header or none."""
    stem = name.removesuffix(".zip")
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for file, lines in content:
            text = (header[file] + lines) if habit["header"] else lines
            if habit["crlf"]:
                text = text.replace(b"\n", b"\r\n")
            text = mend(text)
            if not habit["final_newline"]:
                text = text.rstrip(b"\r\n")
            archive.writestr(
                zipfile.ZipInfo(_member(file, habit, stem), FIXED_TIME), _encoded(text, habit), zipfile.ZIP_DEFLATED
            )
        if habit["office"]:
            office = f"HOSPCODE|NAME\n{habit['hospcode']}|หน่วยบริการสมมติ\n".encode()
            archive.writestr(zipfile.ZipInfo("OFFICE.txt", FIXED_TIME), office, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _member(file: str, habit: dict[str, object], stem: str) -> str:
    name = file.lower() if habit["lower"] else file
    if habit["suffixed"]:
        name = f"{name.lower()}_{habit['hospcode']}_{stem.rsplit('_', 1)[1]}"
    return f"{stem}/{name}.txt" if habit["nested"] else f"{name}.txt"


def _encoded(text: bytes, habit: dict[str, object]) -> bytes:
    if habit["encoding"] == "cp874":
        return text if text.isascii() else text.decode("utf-8").encode("cp874")
    return b"\xef\xbb\xbf" + text if habit["encoding"] == "utf-8-sig" else text


def unknown_sender(out: Path, texts_at: datetime, code: str) -> str:
    """A zip whose sender is in no registry. Returns its name."""
    name = f"F43_{code}_{texts_at:%Y%m%d%H%M%S}.zip"
    row = dict.fromkeys(columns_of("SERVICE", "2.4.1", shuffled=False, extra=False), "")
    row |= {
        "HOSPCODE": code,
        "PID": "1",
        "SEQ": "1",
        "DATE_SERV": f"{texts_at:%Y%m}01",
        "TIME_SERV": "090000",
        "INSTYPE": "0100",
        "TYPEIN": "1",
        "SERVPLACE": "1",
        "TYPEOUT": "1",
        "PRICE": "0.00",
        "D_UPDATE": f"{texts_at:%Y%m%d%H%M%S}",
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        text = "|".join(row) + "\r\n" + "|".join(row.values()) + "\r\n"
        archive.writestr(zipfile.ZipInfo("SERVICE.txt", FIXED_TIME), text, zipfile.ZIP_DEFLATED)
    (out / "deliveries" / name).write_bytes(buffer.getvalue())
    return name
