"""What the warehouse must find: computed from what the zips finally say, by logic of its own.

It follows the readings of the behaviour specification to the letter and shares no code with the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from ingestion.synthetic.care import PLANTS
from ingestion.synthetic.people import KINDS, Period
from ingestion.synthetic.register import CID_STATES, MISTAKEN, USABLE

NOT_ELIGIBLE_DX = r"^(Z2[3-7]|Z3[456]|Z39|Z4[7-9]|Z5[01]|A1[5-9]|F1[0-9])"
UNKNOWN = "99"
VISITS_PER_SLICE = 1_500_000
"""Measures are computed for one slice of the people after the other: pairs never leave a person."""
REJECTED_KINDS = ("truncated", "not_a_zip")


@dataclass(frozen=True)
class _Imaging:
    """A picture that is seldom needed: of which principal diagnoses, what is a reason for it, and which pictures."""

    conditions: str
    reasons: str
    pictures: str
    is_first_only: bool
    """Whether the condition itself, 30 days to 12 months before, is a reason."""


IMAGING = {
    "UNR-10": _Imaging(
        r"^(R55|T671)", r"^(G4[01]|R56|I6|G45|S0|R4[01]|R20|R2[6-9]|R47)", r"^(8703|8891)", is_first_only=False
    ),
    "UNR-11": _Imaging(r"^(J01|J32)", r"^(J33|B2[0-4]|D8[0-9]|E84|H0[0-5]|S0)", r"^8703", is_first_only=True),
}
LOOK_BACK, KNOWN_BEFORE, SOON = 365, 30, 14
"""Days."""


def _parts(folder: Path, name: str) -> pl.LazyFrame:
    return pl.scan_parquet(sorted(folder.glob(f"{name}_[0-9]*.parquet")))


def _empty_to_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(name)


def visits_table(
    standing: pl.DataFrame, facilities: pl.DataFrame, provinces: pl.DataFrame, period: Period
) -> pl.DataFrame:
    """One row a visit that stands: see docs/synthetic.md for the columns.

    `standing` has SERVICE as finally stated, with f, person, day, sec, accident, urgency, plant and principal_dx.
    """
    places = facilities.select(
        pl.col("f").cast(pl.Int32), treatment_province="province", treatment_region="region", p="p"
    )
    homes = facilities.select(MAIN="hospcode", home_province="province", home_region="region", home_p="p")
    live = provinces.select(pl.col("p"), "live_day")
    known = pl.col("home_province").is_not_null()
    typein, urgency = pl.col("typein"), pl.col("urgency")
    home_live = live.rename({"p": "home_p", "live_day": "home_live_day"})
    return (
        standing.join(places, on="f", how="left", maintain_order="left")
        .join(homes, on="MAIN", how="left", maintain_order="left")
        .join(live, on="p", how="left", maintain_order="left")
        .join(home_live, on="home_p", how="left", maintain_order="left")
        .with_columns(
            typein=_empty_to_null("TYPEIN"),
            date_serv=pl.lit(period.start) + pl.duration(days=pl.col("day")),
        )
        .with_columns(
            visit_class=pl.when(typein == "5")
            .then(pl.lit("TELE"))
            .when((typein == "4").fill_null(value=False) | (pl.col("accident") == 1))
            .then(pl.lit("ED"))
            .otherwise(pl.lit("OP")),
            policy_eligible=(
                known & (pl.col("home_live_day") <= pl.col("day")) & (pl.col("live_day") <= pl.col("day"))
            ),
            # An empty TYPEIN is not 3 or 4.
            anywhere=(pl.col("INSTYPE") == "0100")
            & (pl.col("HOSPCODE") != pl.col("MAIN"))
            & (pl.col("HOSPCODE") != pl.col("HSUB"))
            & known
            & ~typein.is_in(["3", "4"]).fill_null(value=False)
            & ~urgency.is_in([1, 2]),
        )
        .select(
            hospcode="HOSPCODE",
            pid="PID",
            seq="SEQ",
            date_serv="date_serv",
            month=pl.col("date_serv").dt.month_start(),
            second="sec",
            person_id="person",
            visit_class="visit_class",
            intime=_empty_to_null("INTIME"),
            typein="typein",
            typeout="TYPEOUT",
            instype="INSTYPE",
            main=_empty_to_null("MAIN"),
            hsub=_empty_to_null("HSUB"),
            principal_dx="principal_dx",
            urgency="urgency",
            treatment_province="treatment_province",
            treatment_region="treatment_region",
            home_province=pl.col("home_province").fill_null(UNKNOWN),
            home_region=pl.col("home_region").fill_null("00"),
            home_known=known,
            policy_eligible="policy_eligible",
            anywhere=pl.col("anywhere").fill_null(value=False),
            planted=pl.col("plant").replace_strict(dict(enumerate(PLANTS)), return_dtype=pl.String),
        )
    )


_NO_NUMBER = 10**13


def _unnumbered(person: pl.Expr) -> pl.Expr:
    return person.cast(pl.Int64) + _NO_NUMBER


def persons_table(known: pl.DataFrame) -> pl.DataFrame:
    """Registrations that were sent, as the final PERSON has them.

    hospcode, pid, person_id (true), numbered_id (whom its number makes of it: the number where it passes for one, its
    bearer's or mistaken; else an id of the person that is no number), birth_year (as typed), kind, cid_state (at last),
    resident.
    """
    has_number = pl.col("final_state").is_in([USABLE, MISTAKEN])
    state = pl.col("final_state").replace_strict(dict(enumerate(CID_STATES)), return_dtype=pl.String)
    kind = pl.col("kind").replace_strict(dict(enumerate(KINDS)), return_dtype=pl.String)
    return known.filter(pl.col("d") >= 0).select(
        "hospcode",
        "pid",
        person_id="person",
        numbered_id=pl.when(has_number)
        .then(pl.when(has_number).then("final_cid").cast(pl.Int64))
        .otherwise(_unnumbered(pl.col("person"))),
        birth_year=pl.col("typed_birth").dt.year(),
        kind=pl.when(state.is_in(["mistyped", "mistaken"])).then(pl.lit("mistyped")).otherwise(kind),
        cid_state=state,
        resident="home",
    )


def told_apart(persons: pl.LazyFrame) -> pl.LazyFrame:
    """Every registration of the country, with tier (A, C: without linkage) for birth_year.

    A number joins only those whose birth year is at most one from that of the most of its registrations (of as many,
    of the first by facility and PID): measures.md §5. The others have their number by mistake and count as without one.
    """
    numbered = persons.filter(pl.col("numbered_id") < _NO_NUMBER)
    years = numbered.group_by("numbered_id", "birth_year").agg(
        n=pl.len(), first=(pl.col("hospcode") + pl.col("pid")).min()
    )
    most_told = (
        years.sort("n", "first", descending=[True, False])
        .group_by("numbered_id", maintain_order=True)
        .agg(told=pl.col("birth_year").first())
    )
    is_another = (pl.col("birth_year") - pl.col("told")).abs() > 1
    apart = persons.join(most_told, on="numbered_id", how="left", maintain_order="left").with_columns(
        numbered_id=pl.when(is_another).then(_unnumbered(pl.col("person_id"))).otherwise("numbered_id")
    )
    has_number = pl.col("numbered_id") < _NO_NUMBER
    return apart.with_columns(tier=pl.when(has_number).then(pl.lit("A")).otherwise(pl.lit("C"))).drop(
        "birth_year", "told"
    )


def merged_visits(visits: pl.DataFrame) -> pl.DataFrame:
    """Visits of one person, facility, date and class as one: attributes of the first, the first principal diagnosis.

    Adds dx3 and eligible.
    """
    merged = (
        visits.sort("hospcode", "pid", "date_serv", "visit_class", "second", "seq")
        .group_by("hospcode", "pid", "date_serv", "visit_class", maintain_order=True)
        .agg(
            pl.col("second", "seq", "person_id", "typein", "typeout", "treatment_province", "month").first(),
            pl.col("principal_dx").drop_nulls().first(),
        )
    )
    return merged.with_columns(
        dx3=pl.col("principal_dx").str.head(3),
        eligible=pl.col("visit_class").is_in(["OP", "TELE"])
        & pl.col("typein").is_in(["1", "5"]).fill_null(value=False)
        & ~pl.col("typeout").is_in(["2", "4", "5", "6"])
        & ~pl.col("principal_dx").str.contains(NOT_ELIGIBLE_DX).fill_null(value=False),
    )


def _flagged(candidates: pl.LazyFrame, measure: str) -> pl.LazyFrame:
    """Rows of eligible tier A visits with an earlier one elsewhere in the window that allows the measure."""
    left = candidates.rename(
        {name: f"{name}_before" for name in ("hospcode", "date_serv", "second", "seq", "typeout", "visit")}
    ).select("numbered_id", "dx3", "^.*_before$")
    days = (pl.col("date_serv") - pl.col("date_serv_before")).dt.total_days()
    earlier = pl.struct("second_before", "hospcode_before", "seq_before") != pl.struct("second", "hospcode", "seq")
    order = (
        (pl.col("second_before") < pl.col("second"))
        | ((pl.col("second_before") == pl.col("second")) & (pl.col("hospcode_before") < pl.col("hospcode")))
        | (
            (pl.col("second_before") == pl.col("second"))
            & (pl.col("hospcode_before") == pl.col("hospcode"))
            & (pl.col("seq_before") < pl.col("seq"))
        )
    )
    if measure == "RED-01":
        window = (days == 0) & earlier & order & (pl.col("typeout_before") != "3")
    else:
        window = days.is_between(1, 7) & pl.col("typeout_before").is_in(["1", "7", "8"])
    return (
        candidates.join(left, on=["numbered_id", "dx3"], how="inner")
        .filter(window & (pl.col("hospcode_before") != pl.col("hospcode")))
        .select("visit")
        .unique()
    )


def measures_table(merged: pl.LazyFrame) -> pl.DataFrame:
    """measure_id, treatment_province, month, numerator, denominator (eligible merged visits of all tiers)."""
    results = []
    slices = 1 + int(merged.select(pl.len()).collect().item()) // VISITS_PER_SLICE
    for part in range(slices):
        eligible = merged.filter(pl.col("eligible") & (pl.col("numbered_id") % slices == part)).collect()
        eligible = eligible.with_row_index("visit")
        linkable = eligible.lazy().filter((pl.col("tier") == "A") & pl.col("dx3").is_not_null())
        for measure in ("RED-01", "RED-02"):
            flagged = _flagged(linkable, measure).collect()["visit"].implode()
            results.append(
                eligible.group_by("treatment_province", "month")
                .agg(numerator=pl.col("visit").is_in(flagged).sum(), denominator=pl.len())
                .with_columns(measure_id=pl.lit(measure))
            )
    return (
        pl.concat(results)
        .group_by("measure_id", "treatment_province", "month")
        .agg(pl.col("numerator", "denominator").cast(pl.Int64).sum())
        .sort("measure_id", "treatment_province", "month")
    )


def codes_table(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """hospcode, pid, coded_on, file, code: what bears on IMAGING of the lines that are taken in.

    A line counts whether or not its visit stands.
    """
    diagnoses = "|".join(f"{one.conditions}|{one.reasons}" for one in IMAGING.values())
    sources = (
        ("DIAGNOSIS_OPD", "DIAGCODE", "DATE_SERV", diagnoses),
        ("DIAGNOSIS_IPD", "DIAGCODE", "DATETIME_ADMIT", diagnoses),
        ("PROCEDURE_OPD", "PROCEDCODE", "DATE_SERV", "|".join(one.pictures for one in IMAGING.values())),
    )
    tables = []
    for file, code, day, pattern in sources:
        lines = frames[file].filter((pl.col("d") >= 0) & pl.col(code).str.contains(pattern))
        if "lost" in lines.columns:
            lines = lines.filter(~pl.col("lost"))
        tables.append(
            lines.select(
                hospcode="HOSPCODE",
                pid="PID",
                coded_on=pl.col(day).str.head(8).str.to_date("%Y%m%d"),
                file=pl.lit(file.split("_", maxsplit=1)[0]),
                code=code,
            )
        )
    return pl.concat(tables)


def imaging_table(merged: pl.LazyFrame, codes: pl.LazyFrame) -> pl.DataFrame:
    """measure_id, hospcode, pid, date_serv, visit_class, flagged of each visit that IMAGING counts, of people with a
    number and by their number alone."""
    last_day = merged.select(pl.col("date_serv").max()).collect().item()
    tables = []
    for measure_id, rule in IMAGING.items():
        index = (
            merged.filter(
                pl.col("principal_dx").str.contains(rule.conditions)
                & pl.col("visit_class").is_in(["OP", "ED"])
                & (pl.col("tier") == "A")
                & (pl.col("date_serv") <= last_day - timedelta(days=SOON))
            )
            .collect()
            .with_row_index("visit")
        )
        near = (
            index.lazy()
            .select("visit", "numbered_id", "date_serv")
            .join(codes, on="numbered_id")
            .with_columns(days=(pl.col("coded_on") - pl.col("date_serv")).dt.total_days())
            .collect()
        )
        is_diagnosis, days = pl.col("file") == "DIAGNOSIS", pl.col("days")
        is_reason = pl.col("code").str.contains(rule.reasons) & days.is_between(-LOOK_BACK, 0)
        if rule.is_first_only:
            is_reason |= pl.col("code").str.contains(rule.conditions) & days.is_between(-LOOK_BACK, -KNOWN_BEFORE)
        is_picture = ~is_diagnosis & pl.col("code").str.contains(rule.pictures) & days.is_between(0, SOON)
        excluded = near.filter(is_diagnosis & is_reason)["visit"].implode()
        pictured = near.filter(is_picture)["visit"].implode()
        tables.append(
            index.filter(~pl.col("visit").is_in(excluded)).select(
                pl.lit(measure_id).alias("measure_id"),
                *("hospcode", "pid", "date_serv", "visit_class"),
                flagged=pl.col("visit").is_in(pictured),
            )
        )
    return pl.concat(tables).sort("measure_id", "hospcode", "pid", "date_serv", "visit_class")


def _utilization(visits: pl.LazyFrame) -> pl.LazyFrame:
    def n(condition: pl.Expr) -> pl.Expr:
        return condition.sum().cast(pl.Int64)

    of_class = pl.col("visit_class")
    known = pl.col("home_known")
    return (
        visits.group_by("month", region="treatment_region", province="treatment_province")
        .agg(
            n_visits=pl.len().cast(pl.Int64),
            n_op=n(of_class == "OP"),
            n_ed=n(of_class == "ED"),
            n_tele=n(of_class == "TELE"),
            n_home_known=n(known),
            n_cross_province=n(known & (pl.col("home_province") != pl.col("treatment_province"))),
            n_cross_region=n(known & (pl.col("home_region") != pl.col("treatment_region"))),
            n_in_hours=n(pl.col("intime") == "1"),
            n_out_of_hours=n(pl.col("intime") == "2"),
            n_anywhere=n(pl.col("anywhere")),
            n_policy_eligible=n(pl.col("policy_eligible")),
        )
        .sort("month", "region", "province")
    )


def admissions_table(sent: pl.DataFrame, facilities: pl.DataFrame, period: Period) -> pl.DataFrame:
    """hospcode, pid, an, region, province, person_id, admit_date, discharge_date, bed_days.

    `sent` are the ADMISSION rows with f, person, admit_day, disch_day.
    """
    places = facilities.select(pl.col("f").cast(pl.Int32), province="province", region="region")
    return (
        sent.filter(pl.col("d") >= 0)
        .join(places, on="f", how="left", maintain_order="left")
        .select(
            "region",
            "province",
            hospcode="HOSPCODE",
            pid="PID",
            an="AN",
            person_id="person",
            admit_date=pl.lit(period.start) + pl.duration(days=pl.col("admit_day")),
            discharge_date=pl.lit(period.start) + pl.duration(days=pl.col("disch_day")),
            bed_days=(pl.col("disch_day") - pl.col("admit_day")).clip(1).cast(pl.Int64),
        )
        .sort("hospcode", "an")
    )


def _counted(parts: Path, name: str, deliveries: pl.DataFrame) -> pl.DataFrame:
    names = deliveries.select("d", "file_name", "hospcode")
    return (
        _parts(parts, name)
        .collect()
        .join(names, on="d", how="left", maintain_order="left")
        .select("file_name", "hospcode", "file", "class", "n")
        .sort("file_name", "file", "class")
    )


def _deliveries(parts: Path, deliveries: pl.DataFrame, extra: list[dict[str, object]]) -> pl.DataFrame:
    """One row a zip with the outcome it must get: file_name, hospcode, kind, repeats, sent_at, arrives_at, outcome,
    n_rows, n_rejected."""
    rows = _parts(parts, "rows").group_by("d").agg(n_rows=pl.col("n").sum()).collect()
    rejects = _parts(parts, "rejects").group_by("d").agg(n_rejected=pl.col("n").sum()).collect()
    names = deliveries.select(base="d", repeats="file_name")
    content = pl.when(pl.col("kind") == "resent").then("base").otherwise("d")
    whole = pl.col("kind").is_in(REJECTED_KINDS)
    frame = (
        deliveries.with_columns(content=content)
        .join(rows.rename({"d": "content"}), on="content", how="left")
        .join(rejects.rename({"d": "content"}), on="content", how="left")
        .join(names, on="base", how="left")
        .with_columns(pl.col("n_rows", "n_rejected").fill_null(0))
        .select(
            "file_name",
            "hospcode",
            "kind",
            pl.when(pl.col("base") != pl.col("d")).then("repeats").alias("repeats"),
            "sent_at",
            "arrives_at",
            outcome=pl.when(whole)
            .then(pl.lit("rejected"))
            .when(pl.col("kind") == "resent")
            .then(pl.lit("duplicate"))
            .when(pl.col("n_rejected") > 0)
            .then(pl.lit("accepted_with_rejects"))
            .otherwise(pl.lit("accepted")),
            n_rows=pl.when(whole).then(0).otherwise("n_rows").cast(pl.Int64),
            n_rejected=pl.when(whole).then(0).otherwise("n_rejected").cast(pl.Int64),
        )
    )
    return pl.concat([frame, pl.DataFrame(extra, schema=frame.schema)]).sort("arrives_at", "file_name")


def write_truth(
    parts: Path,
    folder: Path,
    deliveries: pl.DataFrame,
    extra: list[dict[str, object]],
    arguments: dict[str, object],
) -> dict[str, int]:
    """Write every truth table and truth.json into `folder`, and return the totals."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("visits", "admissions"):
        _parts(parts, name).sink_parquet(folder / f"{name}.parquet")
    told_apart(_parts(parts, "persons")).sink_parquet(folder / "persons.parquet")
    visits = pl.scan_parquet(folder / "visits.parquet")
    _utilization(visits).sink_parquet(folder / "agg_utilization.parquet")
    flow = ("month", "home_province", "treatment_province")
    visits.group_by(flow).agg(n_visits=pl.len().cast(pl.Int64)).sort(flow).sink_parquet(folder / "agg_flow.parquet")
    by_facility = ("hospcode", "month")
    visits.group_by(by_facility).agg(n_visits=pl.len().cast(pl.Int64), n_persons=pl.col("pid").n_unique()).sort(
        by_facility
    ).sink_parquet(folder / "agg_facility_month.parquet")
    stays = ("month", "region", "province")
    pl.scan_parquet(folder / "admissions.parquet").group_by(
        pl.col("discharge_date").dt.month_start().alias("month"), "region", "province"
    ).agg(n_admissions=pl.len().cast(pl.Int64), n_bed_days=pl.col("bed_days").sum()).sort(stays).sink_parquet(
        folder / "agg_admissions.parquet"
    )
    who = pl.scan_parquet(folder / "persons.parquet").select("hospcode", "pid", "tier", "numbered_id")
    merged, codes = (
        _parts(parts, name).join(who, on=["hospcode", "pid"], how="left", maintain_order="left")
        for name in ("merged", "codes")
    )
    measures = measures_table(merged)
    measures.write_parquet(folder / "measures.parquet")
    imaging_table(merged, codes).write_parquet(folder / "imaging.parquet")
    zips = _deliveries(parts, deliveries, extra)
    zips.write_parquet(folder / "deliveries.parquet")
    for name in ("rejects", "flags"):
        _counted(parts, name, deliveries).write_parquet(folder / f"{name}.parquet")
    totals = _totals(folder, merged, measures, zips)
    (folder / "truth.json").write_text(
        json.dumps({"arguments": arguments, **totals}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return totals


def _totals(folder: Path, merged: pl.LazyFrame, measures: pl.DataFrame, zips: pl.DataFrame) -> dict[str, int]:
    used = pl.read_parquet(folder / "agg_utilization.parquet").select(pl.col("^n_.*$").sum()).to_dicts()[0]
    stays = pl.read_parquet(folder / "agg_admissions.parquet").select(pl.col("^n_.*$").sum()).to_dicts()[0]
    persons = pl.scan_parquet(folder / "persons.parquet")
    counts = persons.select(
        n_registrations=pl.len(), n_persons=pl.col("person_id").n_unique(), n_tier_a=(pl.col("tier") == "A").sum()
    ).collect()
    by_measure = measures.group_by("measure_id").agg(pl.col("numerator", "denominator").sum()).sort("measure_id")
    named = {
        f"{row['measure_id'].lower().replace('-', '_')}_{part}": row[part]
        for row in by_measure.to_dicts()
        for part in ("numerator", "denominator")
    }
    outcomes = zips.group_by("outcome").len().sort("outcome")
    return {
        **used,
        **stays,
        **counts.to_dicts()[0],
        "n_merged_visits": merged.select(pl.len()).collect().item(),
        **named,
        "n_rows": zips.filter(pl.col("outcome") != "duplicate")["n_rows"].sum(),
        "n_rejected_rows": zips.filter(pl.col("outcome") != "duplicate")["n_rejected"].sum(),
        **{f"n_deliveries_{name}": n for name, n in outcomes.iter_rows()},
    }
