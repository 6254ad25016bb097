"""Rows of the standard for the visits of some facilities: each function builds one file, whole columns at a time.

Every frame bears `d`, the zip that its rows go into (-1 none), beside the columns of the standard; columns that it
does not have are written empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import CHRONIC_CODES, Catalogue, Ints, drug_codes
from ingestion.synthetic.people import Period

DAYS_BEFORE = 45_000
"""Longer than anybody lives: birth dates are looked up like all others."""
DAYS_AFTER = 1_500
CLINIC = "00100"
WARD = "10000"
SECONDARY = ("K219", "J309", "E669", "M791", "Z720")
"""Other diagnoses, none of which is a condition of the catalogue: a code may stand once in a visit."""
EXTERNAL = ("V299", "W199", "W269", "X599", "W549")
LABS = ("0440205", "0440206")
PROVIDERS_PER_FACILITY = 6
VISIT_KEYS = ("HOSPCODE", "PID", "SEQ", "DATE_SERV", "CID", "HOSPCODE9", "PROVIDER", "D_UPDATE")


@dataclass(frozen=True)
class Texts:
    """Text of days and times, made once and looked up: far cheaper than formatting each row."""

    days: pl.Series
    times: pl.Series

    @classmethod
    def of(cls, start: date) -> Texts:
        first = start - timedelta(days=DAYS_BEFORE)
        days = [f"{first + timedelta(days=k):%Y%m%d}" for k in range(DAYS_BEFORE + DAYS_AFTER)]
        times = [f"{s // 3600:02d}{s // 60 % 60:02d}{s % 60:02d}" for s in range(86400)]
        return cls(pl.Series(days), pl.Series(times))

    def day(self, day: Ints) -> pl.Series:
        return self.days.gather(np.clip(day + DAYS_BEFORE, 0, len(self.days) - 1))

    def time(self, second: Ints) -> pl.Series:
        return self.times.gather(second)

    def stamp(self, day: Ints, second: Ints) -> pl.Series:
        return pl.DataFrame({"d": self.day(day), "t": self.time(second)}).select(pl.concat_str("d", "t")).to_series()


def _prices(rng: np.random.Generator, cond: Ints, catalogue: Catalogue, los: Ints) -> Ints:
    """Baht, whole: assumption."""
    base = np.where(catalogue.kind("chronic")[cond], 420, 260)
    return np.round(base * rng.lognormal(0, 0.5, len(cond)) + np.where(los >= 0, 900, 0)).astype(np.int64)


def money(baht: Ints) -> pl.Expr:
    """Whole baht as the text of an amount."""
    return pl.concat_str(pl.lit(pl.Series(baht)).cast(pl.String), pl.lit(".00"))


def service(
    v: pl.DataFrame, catalogue: Catalogue, texts: Texts, rng: np.random.Generator, facilities: pl.DataFrame
) -> pl.DataFrame:
    """SERVICE for enriched visits `v` (see `deliveries.enrich`): one row a visit, in the same order."""
    n = len(v)
    codes = pl.concat([facilities["hospcode"], pl.Series([""])])
    codes9 = pl.concat([facilities["hospcode9"], pl.Series([""])])
    f, sec, cond = v["f"].to_numpy(), v["sec"].to_numpy(), v["cond"].to_numpy()
    price = _prices(rng, cond, catalogue, v["los"].to_numpy())
    main, sub = v["main"].to_numpy(), v["sub"].to_numpy()
    ref_in, ref_out = v["ref_in"].to_numpy(), v["ref_out"].to_numpy()
    old = (v["chronic"].to_numpy() & 1) > 0
    sbp = np.round(rng.normal(np.where(old, 138, 120), 14)).astype(np.int64)
    complaint = pl.Series(catalogue.conditions["complaint_th"]).gather(cond)
    empty = len(codes) - 1

    def of(texts_: pl.Series, index: Ints) -> pl.Series:
        return texts_.gather(np.where(index < 0, empty, index))

    return v.select(*VISIT_KEYS, "d").with_columns(
        HN=pl.lit(""),
        TIME_SERV=texts.time(sec),
        LOCATION=pl.Series(np.where((main == f) | (sub == f), "1", "2")),
        INTIME=pl.Series(np.where((sec >= 8 * 3600) & (sec < 16.5 * 3600), "1", "2")),
        INSTYPE=v["instype"],
        MAIN=of(codes, main),
        TYPEIN=v["typein"].cast(pl.String),
        REFERINHOSP=of(codes, ref_in),
        CAUSEIN=pl.Series(np.where(ref_in >= 0, "1", "")),
        CHIEFCOMP=complaint,
        SERVPLACE=pl.lit("1"),
        BTEMP=pl.concat_str(pl.Series(rng.integers(36, 39, n)).cast(pl.String), pl.lit(".5")),
        SBP=pl.Series(sbp).cast(pl.String),
        DBP=pl.Series(np.round(sbp * 0.6).astype(np.int64)).cast(pl.String),
        PR=pl.Series(rng.integers(60, 105, n)).cast(pl.String),
        RR=pl.Series(rng.integers(16, 24, n)).cast(pl.String),
        TYPEOUT=v["typeout"].cast(pl.String),
        REFEROUTHOSP=of(codes, ref_out),
        CAUSEOUT=pl.Series(np.where(ref_out >= 0, "1", "")),
        COST=money(price * 7 // 10),
        PRICE=money(price),
        PAYPRICE=money(np.where(v["instype"] == "9100", price, 0)),
        ACTUALPAY=money(np.where(v["instype"] == "9100", price, 0)),
        HSUB=of(codes, sub),
        HOSP9_MAIN=of(codes9, main),
        REFERINHOSP9=of(codes9, ref_in),
        REFEROUTHOSP9=of(codes9, ref_out),
        HOSP9_SUB=of(codes9, sub),
    )


def children(v: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """Keys of visits `rows`, going with the visit's month whether or not its SERVICE row is late."""
    return v.select(*VISIT_KEYS, pl.col("dc").alias("d"), "row")[rows]


def diagnoses_opd(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """DIAGNOSIS_OPD, about 1.7 a visit (assumption): principal (DIAGTYPE 1), other (4), external cause (5).

    Also `row` (of the visit) and `principal` (boolean).
    """
    n = len(v)
    cond, bits = v["cond"].to_numpy(), v["chronic"].to_numpy()
    codes = catalogue.conditions["code"]
    first = np.flatnonzero((v["typeout"].to_numpy() != 9) & (rng.random(n) >= 0.008))
    blocks = [(first, codes.gather(cond[first]), "1")]
    is_chronic = catalogue.kind("chronic")[cond]
    for k, code in enumerate(CHRONIC_CODES):
        has = ((bits >> k) & 1 > 0) & (cond != catalogue.chronic[k])
        rows = np.flatnonzero(has & (rng.random(n) < np.where(is_chronic, 0.75, 0.25)))
        blocks.append((rows, pl.Series([code]).gather(np.zeros(len(rows), dtype=np.int64)), "4"))
    rows = np.flatnonzero(rng.random(n) < 0.38)
    blocks.append((rows, pl.Series(SECONDARY).gather(rng.integers(0, len(SECONDARY), len(rows))), "4"))
    rows = np.flatnonzero(catalogue.kind("injury")[cond])
    blocks.append((rows, pl.Series(EXTERNAL).gather(rng.integers(0, len(EXTERNAL), len(rows))), "5"))
    return pl.concat(
        children(v, rows).with_columns(
            DIAGTYPE=pl.lit(kind), DIAGCODE=code, CLINIC=pl.lit(CLINIC), principal=pl.lit(kind == "1")
        )
        for rows, code, kind in blocks
    )


def prescriptions(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """What is prescribed: row (of the visit), drug, days. Those of the condition, and at a chronic follow-up the
    first drug of the person's other chronic diseases; a drug once a visit."""
    n = len(v)
    cond, bits = v["cond"].to_numpy(), v["chronic"].to_numpy()
    rows, drugs = [], []
    for slot in range(catalogue.drug_of.shape[1]):
        given = np.flatnonzero(rng.random(n) < catalogue.drug_share[cond, slot])
        rows.append(given)
        drugs.append(catalogue.drug_of[cond[given], slot])
    is_chronic = catalogue.kind("chronic")[cond]
    for k, index in enumerate(catalogue.chronic):
        given = np.flatnonzero(is_chronic & ((bits >> k) & 1 > 0) & (cond != index) & (rng.random(n) < 0.8))
        rows.append(given)
        drugs.append(np.full(len(given), catalogue.drug_of[index, 0]))
    frame = pl.DataFrame({"row": np.concatenate(rows), "drug": np.concatenate(drugs)})
    frame = frame.unique(maintain_order=True)
    usual = catalogue.drugs["days"].to_numpy()[frame["drug"]]
    chronic = catalogue.drugs["chronic"].to_numpy()[frame["drug"]] == 1
    days = np.where(chronic, rng.choice([30, 60, 90], len(frame), p=[0.35, 0.4, 0.25]), usual)  # assumption
    return frame.with_columns(days=pl.Series(days))


def drugs_opd(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """DRUG_OPD, about 1.8 a visit (assumption)."""
    given = prescriptions(v, catalogue, rng)
    keys = children(v, given["row"].to_numpy())
    f = v["f"].to_numpy()[given["row"]]
    return keys.with_columns(
        *drug_columns(given["drug"].to_numpy(), given["days"].to_numpy(), f, catalogue)
    ).with_columns(CLINIC=pl.lit(CLINIC))


def drug_columns(drug: Ints, days: Ints, f: Ints, catalogue: Catalogue) -> list[pl.Series]:
    codes = drug_codes(catalogue.drugs)
    brand = f % len(codes[0])
    flat = pl.Series([code for brands in codes for code in brands])
    per_day = catalogue.drugs["units_per_day"].fill_null(2.0).to_numpy()
    price = catalogue.drugs["price"].to_numpy()
    amount = np.maximum(np.ceil(per_day[drug] * days - 1e-9), 1).astype(np.int64)
    prices = pl.Series([f"{value:.2f}" for value in price])
    costs = pl.Series([f"{value * 0.7:.2f}" for value in price])
    return [
        flat.gather(drug * len(codes[0]) + brand).alias("DIDSTD"),
        catalogue.drugs["name"].gather(drug).alias("DNAME"),
        pl.Series("AMOUNT", amount).cast(pl.String),
        pl.Series("UNIT", ["001"]).gather(np.zeros(len(drug), dtype=np.int64)),
        prices.gather(drug).alias("DRUGPRICE"),
        costs.gather(drug).alias("DRUGCOST"),
    ]


def procedures_opd(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    codes = catalogue.conditions["procedure"].fill_null("")
    cond = v["cond"].to_numpy()
    has = (codes != "").to_numpy()[cond]
    rows = np.flatnonzero(has & (rng.random(len(v)) < 0.75))
    return children(v, rows).with_columns(
        PROCEDCODE=codes.gather(cond[rows]), CLINIC=pl.lit(CLINIC), SERVICEPRICE=pl.lit("100.00")
    )


def charges_opd(v: pl.DataFrame, prices: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """CHARGE_OPD, about one a visit: drugs, or nursing service; laboratory beside it for some (assumption)."""
    n = len(v)
    item = pl.Series(["03", "12", "07"])
    first = np.arange(n)
    second = np.flatnonzero(rng.random(n) < 0.1)
    rows = np.concatenate([first, second])
    which = np.concatenate([(rng.random(n) < 0.15).astype(np.int64), np.full(len(second), 2)])
    return children(v, rows).with_columns(
        CLINIC=pl.lit(CLINIC),
        CHARGEITEM=item.gather(which),
        CHARGELIST=pl.lit("000000"),
        QUANTITY=pl.lit("1"),
        INSTYPE=v["instype"].gather(rows),
        COST=pl.lit("0.00"),
        PRICE=prices.gather(rows),
        PAYPRICE=pl.lit("0.00"),
    )


def accidents(v: pl.DataFrame, texts: Texts, rng: np.random.Generator) -> pl.DataFrame:
    """ACCIDENT for visits that have one."""
    rows = np.flatnonzero(v["accident"].to_numpy() == 1)
    n = len(rows)
    day, sec = v["day"].to_numpy()[rows], v["sec"].to_numpy()[rows]
    traffic = rng.random(n) < 0.45
    one = pl.lit("1")
    return children(v, rows).with_columns(
        DATETIME_SERV=texts.stamp(day, sec),
        DATETIME_AE=texts.stamp(day, np.maximum(sec - 2400, 0)),
        AETYPE=pl.Series(np.where(traffic, "01", "19")),
        AEPLACE=pl.Series(np.where(traffic, "07", "01")),
        TYPEIN_AE=pl.Series(np.where(v["typein"].to_numpy()[rows] == 4, "3", "1")),
        TRAFFIC=pl.Series(np.where(traffic, "1", "9")),
        VEHICLE=pl.Series(np.where(traffic, "02", "")),
        ALCOHOL=pl.Series(np.where(traffic & (rng.random(n) < 0.2), "1", "2")),
        NACROTIC_DRUG=pl.lit("9"),
        BELT=pl.lit("9"),
        HELMET=pl.Series(np.where(traffic, np.where(rng.random(n) < 0.45, "1", "2"), "9")),
        AIRWAY=one,
        STOPBLEED=one,
        SPLINT=one,
        FLUID=one,
        URGENCY=v["urgency"].gather(rows).cast(pl.String),
        COMA_EYE=pl.lit("4"),
        COMA_SPEAK=pl.lit("5"),
        COMA_MOVEMENT=pl.lit("6"),
    )


def appointments(v: pl.DataFrame, catalogue: Catalogue, texts: Texts, rng: np.random.Generator) -> pl.DataFrame:
    """APPOINTMENT: chronic follow-ups and some others; APDATE in the future is as it should be."""
    chronic = catalogue.kind("chronic")[v["cond"].to_numpy()]
    rows = np.flatnonzero(rng.random(len(v)) < np.where(chronic, 0.85, 0.08))
    gap = np.where(chronic[rows], rng.choice([30, 60, 90], len(rows)), rng.integers(2, 14, len(rows)))
    return children(v, rows).with_columns(
        APDATE=texts.day(v["day"].to_numpy()[rows] + gap),
        APTYPE=pl.lit("001"),
        APDIAG=catalogue.conditions["code"].gather(v["cond"].to_numpy()[rows]),
        CLINIC=pl.lit(CLINIC),
    )


def labs(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """LABFU: a few for people with diabetes."""
    rows = np.flatnonzero((v["cond"].to_numpy() == catalogue.chronic[1]) & (rng.random(len(v)) < 0.35))
    return children(v, rows).with_columns(
        LABTEST=pl.Series(LABS).gather(rng.integers(0, len(LABS), len(rows))),
        LABRESULT=pl.Series(rng.integers(5, 300, len(rows))).cast(pl.String),
        LABPLACE=pl.col("HOSPCODE"),
    )


def referrals(v: pl.DataFrame, catalogue: Catalogue, texts: Texts, facilities: pl.DataFrame) -> pl.DataFrame:
    """REFER_HISTORY for visits that were referred out."""
    to = v["ref_out"].to_numpy()
    rows = np.flatnonzero(to >= 0)
    day, sec = v["day"].to_numpy()[rows], v["sec"].to_numpy()[rows]
    text = catalogue.conditions["complaint_th"].gather(v["cond"].to_numpy()[rows])
    return children(v, rows).with_columns(
        REFERID=pl.col("SEQ"),
        DATETIME_SERV=texts.stamp(day, sec),
        DATETIME_REFER=texts.stamp(day, np.minimum(sec + 3600, 86399)),
        CLINIC_REFER=pl.lit(CLINIC),
        HOSP_DESTINATION=facilities["hospcode"].gather(to[rows]),
        HOSP9_DESTINATION=facilities["hospcode9"].gather(to[rows]),
        CHIEFCOMP=text,
        DIAGFIRST=text,
        DIAGLAST=text,
        PSTATUS=pl.lit("รู้สึกตัวดี"),
        PTYPE=pl.lit("1"),
        EMERGENCY=pl.lit("3"),
        CAUSEOUT=pl.lit("1"),
    )


def admissions(
    v: pl.DataFrame,
    catalogue: Catalogue,
    texts: Texts,
    rng: np.random.Generator,
    month_of_day: Ints,
    grid: Ints,
    period: Period,
) -> dict[str, pl.DataFrame]:
    """ADMISSION and its files, sent with the month of discharge; stays that outlast the period are not sent yet.

    ADMISSION also bears row, person, f, admit_day, disch_day.
    """
    los, day = v["los"].to_numpy(), v["day"].to_numpy()
    rows = np.flatnonzero((los >= 0) & (day + los < period.n_days))
    stay = v[rows]
    f, day, los, sec = (stay[name].to_numpy() for name in ("f", "day", "los", "sec"))
    out = day + los
    n = len(rows)
    admit = texts.stamp(day, np.minimum(sec + 3600, 86399))
    leave = texts.stamp(out, np.where(los == 0, np.minimum(sec + 9000, 86399), 10 * 3600 + rng.integers(0, 7200, n)))
    number = stay.select(pl.int_range(pl.len()).over("f") + 1).to_series().cast(pl.String).str.zfill(9)
    price = 3500 + 2600 * los
    u = rng.random(n)
    base = stay.select(*VISIT_KEYS).with_columns(
        d=pl.Series(grid[f, month_of_day[out]]),
        AN=number,
        DATETIME_ADMIT=admit,
        DATETIME_DISCH=leave,
        D_UPDATE=texts.stamp(out + 1, sec),
        PROVIDER=stay["PROVIDER"],
        WARDSTAY=pl.lit(WARD),
    )
    code = catalogue.conditions["code"].gather(stay["cond"].to_numpy())
    dead = stay["death_day"].to_numpy() <= out
    status = np.where(dead, "9", np.where(code.to_numpy() == "O800", "4", np.where(u < 0.2, "1", "2")))
    admission = base.with_columns(
        WARDADMIT=pl.lit(WARD),
        WARDDISCH=pl.lit(WARD),
        INSTYPE=stay["instype"],
        TYPEIN=pl.Series(np.where(stay["typein"].to_numpy() == 5, 1, stay["typein"].to_numpy())).cast(pl.String),
        ADMITWEIGHT=pl.lit("58.0"),
        DISCHSTATUS=pl.Series(status),
        DISCHTYPE=pl.Series(np.where(dead, "9", np.where(u < 0.02, "2", np.where(u < 0.025, "3", "1")))),
        COST=money(price * 7 // 10),
        PRICE=money(price),
        PAYPRICE=pl.lit("0.00"),
        ACTUALPAY=pl.lit("0.00"),
        DRG=pl.lit("00000"),
        ERROR=pl.lit("0"),
        WARNING=pl.lit("0"),
        RW=pl.Series(np.round(0.35 + 0.14 * los, 4)).cast(pl.String),
        ADJRW=pl.Series(np.round(0.35 + 0.14 * los, 4)).cast(pl.String),
        ACTLOS=pl.Series(los).cast(pl.String),
        GROUPER_VERSION=pl.lit("6.3"),
        row=pl.Series(rows),
        person=stay["person"],
        f=stay["f"],
        admit_day=pl.Series(day),
        disch_day=pl.Series(out),
    )
    second = np.flatnonzero(rng.random(n) < 0.6)
    diagnoses = pl.concat(
        [
            base.with_columns(DIAGTYPE=pl.lit("1"), DIAGCODE=code, WARDDIAG=pl.lit(WARD)),
            base[second].with_columns(
                DIAGTYPE=pl.lit("4"),
                DIAGCODE=pl.Series(SECONDARY).gather(rng.integers(0, len(SECONDARY), len(second))),
                WARDDIAG=pl.lit(WARD),
            ),
        ]
    )
    keys = catalogue.drugs["key"].to_list()
    drug = np.array([keys.index("PARA"), keys.index("CEFT"), keys.index("OMEP")])
    twice = np.repeat(np.arange(n), 2)
    which = drug[np.column_stack([np.zeros(n, dtype=np.int64), rng.integers(1, 3, n)]).ravel()]
    drugs = base[twice].with_columns(
        *drug_columns(which, np.maximum(los[twice], 1), f[twice], catalogue),
        TYPEDRUG=pl.lit("1"),
        DATESTART=texts.day(day[twice]),
        DATEFINISH=texts.day(out[twice]),
    )
    some = np.flatnonzero(rng.random(n) < 0.35)
    procedures = base[some].with_columns(
        PROCEDCODE=pl.lit("9915"),
        TIMESTART=admit.gather(some),
        TIMEFINISH=leave.gather(some),
        SERVICEPRICE=pl.lit("350.00"),
    )
    charges = pl.concat(
        base.with_columns(
            CHARGEITEM=pl.lit(item),
            CHARGELIST=pl.lit("000000"),
            QUANTITY=pl.lit("1"),
            INSTYPE=stay["instype"],
            COST=pl.lit("0.00"),
            PRICE=money((price * share).astype(np.int64)),
            PAYPRICE=pl.lit("0.00"),
        )
        for item, share in (("01", 0.5), ("03", 0.3), ("12", 0.2))
    )
    return {
        "ADMISSION": admission,
        "DIAGNOSIS_IPD": diagnoses,
        "DRUG_IPD": drugs,
        "PROCEDURE_IPD": procedures,
        "CHARGE_IPD": charges,
    }
