"""Facilities: where they lie, what they are, whose they are, and how they write their extracts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Bools, Ints

FIRST_CODE = 60001
"""Above every code in use (domain.md §6: 00001 to 55486), so that no invented facility is a real one."""
UNKNOWN_CODES = ("59999", "59998", "59997")
"""Not in the registry: an unknown sender, an unknown HOSPCODE in a row, an unknown MAIN."""

PRIMARY = ("18", "21")
COMMUNITY = ("07",)
GENERAL = ("05", "06", "11", "12")
TRANSFERRED_SHARE = 0.433
"""Of the sub-district hospitals, moved to provincial administrations by mid-2024 [COV6655]."""
BANGKOK_TYPES = ("12", "21", "15", "11", "21", "15", "21", "12", "15", "21")
"""Assumption: Bangkok has no 05/06/07/18; BMA, university, military, departmental and private hospitals serve it."""
BANGKOK_OWNERS = ("75002", "23000", "02000", "25007")
TYPE_NAMES = {
    "05": "โรงพยาบาลศูนย์สมมติ",
    "06": "โรงพยาบาลทั่วไปสมมติ",
    "07": "โรงพยาบาลชุมชนสมมติ",
    "11": "โรงพยาบาลสังกัดกรมสมมติ",
    "12": "โรงพยาบาลรัฐสมมติ",
    "15": "โรงพยาบาลเอกชนสมมติ",
    "18": "รพ.สต.สมมติ",
    "21": "ศูนย์บริการสาธารณสุขสมมติ",
}
BEDS = {"05": 620, "06": 310, "07": 60, "11": 250, "12": 400, "15": 120, "18": 0, "21": 0}
PREFIX = {"05": "EA", "06": "EA", "07": "EA", "11": "EA", "12": "FA", "15": "HA", "18": "GA", "21": "GA"}
"""First two characters of the 9-character code (domain.md §4)."""


def _largest_remainder(weights: Ints, total: int) -> Ints:
    shares = weights / weights.sum() * total
    counts = np.floor(shares).astype(np.int64)
    counts[np.argsort(-(shares - counts), kind="stable")[: total - counts.sum()]] += 1
    return np.asarray(counts, dtype=np.int64)


def allocate(provinces: pl.DataFrame, n_facilities: int) -> Ints:
    """Facilities of each province: every region has one at least, every province when there are enough, the rest
    by population. Raises `ValueError` below one facility a region."""
    population = provinces["population"].to_numpy()
    region = provinces["region"].to_numpy()
    counts = np.zeros(len(population), dtype=np.int64)
    order = np.argsort(-population, kind="stable")
    firsts = [int(order[np.flatnonzero(region[order] == name)[0]]) for name in sorted(set(region))]
    if n_facilities < len(firsts):
        raise ValueError(f"{n_facilities} facilities cannot cover {len(firsts)} health regions")
    counts[firsts] = 1
    rest = n_facilities - len(firsts)
    others = [p for p in order if p not in firsts]
    if rest >= len(others):
        counts[others] = 1
        return np.asarray(counts + _largest_remainder(population, rest - len(others)), dtype=np.int64)
    by_region = _largest_remainder(
        np.array([population[region == region[p]].sum() for p in firsts], dtype=np.int64), rest
    )
    for first, extra in zip(firsts, by_region, strict=True):
        # A second facility in the same province comes first: people need a hospital and a primary unit nearby.
        own = [first, *(p for p in others if region[p] == region[first])]
        for k in range(extra):
            counts[own[((k + 1) // 2) % len(own)]] += 1
    return counts


def _types(province: str, rank_in_region: int, n: int, serial: int) -> list[str]:
    if province == "10":
        return [BANGKOK_TYPES[k % len(BANGKOK_TYPES)] for k in range(n)]
    first = "05" if rank_in_region < 3 and n >= 3 else "06" if n >= 2 and rank_in_region < 6 else "07"
    types = [first]
    for k in range(1, n):
        if k % 5 == 2 and n >= 4:
            types.append("07")
        elif k % 7 == 4 and n >= 5:
            types.append("15")
        elif k % 9 == 8:
            types.append("12" if serial % 2 else "11")
        else:
            types.append("21" if (serial + k) % 12 == 0 else "18")
    return types[:n]


def _owner(hostype: str, serial: int, transferred: bool) -> str:
    if hostype == "18":
        return "75000" if transferred else "21000"
    return {"21": "75000", "15": "90000", "12": ("23000", "02000")[serial % 2]}.get(hostype, "21000")


def build_facilities(
    provinces: pl.DataFrame, n_facilities: int, n_months: int, rng: np.random.Generator
) -> pl.DataFrame:
    """One row a facility, ordered by region and province.

    f (index), hospcode, hospcode9, name, hostype, mcode, p (province index), province, region, bed, level
    (primary, community, general, private), size (weight), and the sender's habits (`_habits`).
    """
    counts = allocate(provinces, n_facilities)
    ranks = provinces.select(pl.col("population").rank("ordinal", descending=True).over("region") - 1).to_series()
    rows: list[dict[str, object]] = []
    for p, (province, region, rank) in enumerate(zip(provinces["code"], provinces["region"], ranks, strict=True)):
        for k, hostype in enumerate(_types(province, rank, int(counts[p]), p)):
            f = len(rows)
            transferred = (f * 7919) % 1000 < TRANSFERRED_SHARE * 1000
            owner = BANGKOK_OWNERS[k % 4] if province == "10" and hostype in ("12", "21") else None
            if province == "10" and hostype == "21":
                owner = "75002"
            code = FIRST_CODE + f
            rows.append(
                {
                    "f": f,
                    "hospcode": f"{code:05d}",
                    "hospcode9": f"{PREFIX[hostype]}{code:07d}",
                    "name": f"{TYPE_NAMES[hostype]} {f + 1:03d}",
                    "hostype": hostype,
                    "mcode": owner or _owner(hostype, f, transferred),
                    "p": p,
                    "province": province,
                    "region": region,
                    "bed": BEDS[hostype] + (f * 37) % max(BEDS[hostype] // 3, 1),
                    "level": _level(hostype),
                }
            )
    frame = pl.DataFrame(rows, schema_overrides={"f": pl.Int64, "p": pl.Int64, "bed": pl.Int64})
    return frame.with_columns(*_habits(frame, n_months, rng))


def _level(hostype: str) -> str:
    if hostype in PRIMARY:
        return "primary"
    return "community" if hostype in COMMUNITY else "general" if hostype in GENERAL else "private"


def _habits(facilities: pl.DataFrame, n_months: int, rng: np.random.Generator) -> list[pl.Series]:
    """How each sender writes. Shares are assumptions; every habit occurs at least once in any country.

    version (2016, 2.4, 2.4.1), encoding (utf-8, utf-8-sig, cp874), crlf, header, shuffled, extra (columns no
    edition has), lower, nested, suffixed, office, final_newline, sloppy, sends (list of booleans by month).
    """
    n = len(facilities)

    def share(low: float, high: float) -> Bools:
        """A random (high - low) of the facilities, disjoint from other ranges of the same call order."""
        return (ranks >= low) & (ranks < max(high, low + 1 / n))

    ranks = rng.permutation(n) / n
    version = np.where(share(0, 0.15), "2016", np.where(share(0.15, 0.45), "2.4", "2.4.1"))
    headerless, shuffled, extra = share(0.96, 1.0), share(0.45, 0.52), share(0.52, 0.58)
    ranks = rng.permutation(n) / n
    encoding = np.where(share(0, 0.35), "cp874", np.where(share(0.35, 0.5), "utf-8-sig", "utf-8"))
    lower, nested, suffixed = share(0.1, 0.2), share(0.3, 0.4), share(0.6, 0.67)
    office, no_newline = share(0.7, 0.78), share(0.8, 0.9)
    ranks = rng.permutation(n) / n
    crlf, sloppy = ~share(0, 0.25), share(0.2, 0.65)
    return [
        pl.Series("version", version),
        pl.Series("encoding", encoding),
        pl.Series("crlf", crlf),
        pl.Series("header", ~headerless),
        pl.Series("shuffled", shuffled),
        pl.Series("extra", extra),
        pl.Series("lower", lower),
        pl.Series("nested", nested),
        pl.Series("suffixed", suffixed),
        pl.Series("office", office),
        pl.Series("final_newline", ~no_newline),
        pl.Series("sloppy", sloppy),
        pl.Series("sends", _sends(facilities, n_months, rng).tolist()),
    ]


def _sends(facilities: pl.DataFrame, n_months: int, rng: np.random.Generator) -> Bools:
    """(facility, month): whether a delivery is made. Region 13 sends little (domain.md §7); shares are assumptions."""
    sends = rng.random((len(facilities), n_months)) >= 0.02
    silent = rng.permutation(len(facilities))[: max(len(facilities) // 60, 1)]
    sends[silent, -max(n_months // 4, 1) :] = False
    bangkok = np.flatnonzero((facilities["region"] == "13").to_numpy())
    sends[bangkok] &= (np.arange(n_months) % 2 == 0)[None, :]
    sends[bangkok[np.arange(len(bangkok)) % 3 != 0]] = False
    sends[bangkok[0], 0] = True
    return sends


def registry_rows(facilities: pl.DataFrame) -> pl.DataFrame:
    """The registry in the ministry's form, with harmless defects: blanks before names, Buddhist-Era
    `register_date`, and two closed facilities marked (ยกเลิก)."""
    f = pl.col("f")
    open_rows = facilities.select(
        pl.col("hospcode").alias("hoscode"),
        pl.when(f % 17 == 3).then(pl.lit("  ")).otherwise(pl.lit("")).add(pl.col("name")).alias("hosname"),
        "hostype",
        pl.col("province").alias("provcode"),
        (f % 5 + 1).cast(pl.String).str.zfill(2).alias("distcode"),
        (f % 7 + 1).cast(pl.String).str.zfill(2).alias("subdistcode"),
        pl.col("hospcode9").alias("hoscodenew"),
        pl.col("bed").cast(pl.String),
        "mcode",
        pl.col("region").alias("zone_code"),
        pl.lit("1").alias("status"),
        pl.concat_str(pl.when(f % 11 == 5).then(2535 + f % 20).otherwise(1992 + f % 20), pl.lit("-03-11")).alias(
            "register_date"
        ),
        pl.lit("").alias("close_date"),
    )
    closed = open_rows.head(2).with_columns(
        pl.Series("hoscode", [f"{FIRST_CODE - 1000 + k:05d}" for k in range(min(2, len(open_rows)))]),
        pl.lit("รพ.สต.สมมติ (ยกเลิก)").alias("hosname"),
        pl.lit("18").alias("hostype"),
        pl.lit("0").alias("status"),
        pl.lit("0").alias("bed"),
        pl.lit("2015-09-30").alias("close_date"),
    )
    closed = closed.with_columns(pl.format("GA{}", pl.col("hoscode").str.zfill(7)).alias("hoscodenew"))
    return pl.concat([open_rows, closed])


def write_registry(facilities: pl.DataFrame, path: Path) -> None:
    registry_rows(facilities).write_csv(path)
