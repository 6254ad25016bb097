"""Random days of deliveries in a small country, where everything that can befall a row befalls some.

Few people, numbers and codes, so that rows meet: visits are replaced, withdrawn and sent again, lines come before their
visit or under another person's number, people change their citizen number, and links between them come and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random

import polars as pl

from identity.linkage.links import LINKS
from ingestion.checks import landing_schema
from ingestion.landing import contract_tables
from ruam.home import DataHome
from tests.warehouse.landing_factory import Row, write_batch, write_drugs, write_registry

FACILITIES: dict[str, Row] = {
    "10001": {"hostype": "05", "provcode": "54", "mcode": "21000", "bed": 500},
    "10002": {"hostype": "07", "provcode": "54", "mcode": "21000", "bed": 30},
    "20001": {"hostype": "18", "provcode": "45", "mcode": "21000"},
    "30001": {"hostype": "12", "provcode": "10", "mcode": "75002", "bed": 400},
}
N_PIDS = 120
"""Registrations of each facility; a number is borne by about three."""
NUMBERS = [f"{n:032x}" for n in range(1, 151)]
FIRST_DAY = date(2024, 11, 20)
"""Of service: the fiscal year is young, and a year's months are not all there."""

_DIAGNOSES = [
    "J069", "J00", "A09", "M545", "R51", "R55", "J010", "I10", "E119", "E785", "N184", "S610", "Z348", "B24", "C509",
    "O800", "J180", "J450", "K30", "?",
]  # fmt: skip
_DRUGS = {
    "1" * 24: ("J01CA04", "oral", 3.0), "2" * 24: ("C09AA02", "oral", 1.0), "3" * 24: ("C09CA01", "oral", 1.0),
    "4" * 24: ("M01AE01", "oral", 3.0), "5" * 24: ("M01AB05", "oral", 2.0), "6" * 24: ("N05BA01", "oral", 1.0),
    "7" * 24: ("C10AA01", "oral", 1.0), "8" * 24: ("A10BA02", "oral", 2.0), "9" * 24: ("A10BB01", "oral", 1.0),
}  # fmt: skip
_TESTS = ["0531601", "0541602", "08", "0581904", "99"]
_PROCEDURES = ["8703", "8724", "8891", "8744", "5411", "9999", "2330011"]
_STAY_HOURS = (5, 20, 30, 80, 200)


def make_reference(home: DataHome) -> None:
    """A registry of the facilities and a map of the drugs."""
    facilities = [{"hoscode": code, **facts} for code, facts in FACILITIES.items()]
    write_registry(home, facilities, "20240101T000000-1", date(2024, 1, 1))
    drugs = [
        {"didstd": code, "dname": f"DRUG {code[0]}0 MG", "atc": atc, "route": route, "units_per_day": per_day}
        | {"chronic": atc[0] == "C"}
        for code, (atc, route, per_day) in _DRUGS.items()
    ]  # fmt: skip
    write_drugs(home, drugs, "20240101T000000-1", date(2024, 1, 1))


class Days:
    """Lands days one after another, the same for the same seed."""

    def __init__(self, home: DataHome, seed: int) -> None:
        self.home = home
        self._random = Random(seed)  # noqa: S311 - no secret
        self._number = 0
        self._sent: list[tuple[str, Row]] = []
        self._visits: list[Row] = []
        self._links: dict[tuple[str, str], tuple[str, str, str, float]] = {}
        self._deliveries: list[tuple[str, tuple[str, datetime]]] = []
        contracts = contract_tables()
        self._columns = {table: set(landing_schema(contracts[table])) for table in contracts}
        self._keys = {table: [name.lower() for name in contracts[table].key] for table in contracts}
        self._files = {table: contracts[table].file for table in contracts}

    def land(self, visits: int) -> list[str]:
        """Land one day of about so many visits, told by a delivery or two for each facility that sends; returns its
        batches."""
        pick = self._random
        self._number += 1
        sent: dict[str, tuple[str, datetime]] = {}
        tables: dict[str, list[Row]] = {}
        for hospcode in FACILITIES:
            if pick.random() < 0.2:
                continue
            delivery = f"{self._number:03}-{hospcode}"
            # Some are late: they were made days before what has come already.
            made = datetime.combine(self._today(), time(8)) - timedelta(days=pick.choice([0, 0, 0, 3, 40]))
            sent[delivery] = (hospcode, made)
            self._deliveries.append((delivery, sent[delivery]))
            for table, row in self._delivery(hospcode, made, visits // len(FACILITIES)):
                tables.setdefault(table, []).append({**row, "delivery_id": delivery})
        self._link()
        batches = [write_batch(self.home, "01", f"day-{self._number:03}", sent, _numbered(tables))]
        if self._number > 2 and pick.random() < 0.5:
            batches.append(self._send_again())
        return batches

    def _today(self) -> date:
        return FIRST_DAY + timedelta(days=60 + 2 * self._number)

    def _send_again(self) -> str:
        """A content that came before, under a later name: its rows are landed once."""
        delivery, (hospcode, made) = self._random.choice(self._deliveries)
        again = {delivery: (hospcode, made + timedelta(days=1))}
        return write_batch(self.home, "01", f"day-{self._number:03}-again", again, {})

    def _link(self) -> None:
        """Links as linkage might write them: each day a few are found and one is lost."""
        pick = self._random
        for _ in range(2):
            who = (pick.choice(list(FACILITIES)), str(pick.randint(1, N_PIDS)))
            n = pick.randrange(len(NUMBERS))
            # To a person with a number; or at the lower threshold alone, to one who is a person of their own.
            person, tier = pick.choice([(NUMBERS[n], "B"), (f"{n:f>32}", "C")])
            self._links[who] = (person, NUMBERS[n], tier, 0.99)
        if len(self._links) > 8:
            self._links.pop(pick.choice(list(self._links)))
        rows = [(*who, *link) for who, link in self._links.items()]
        pl.DataFrame(rows, schema=LINKS, orient="row").write_parquet(self.home.links)

    def _delivery(self, hospcode: str, made: datetime, visits: int) -> Iterator[tuple[str, Row]]:
        """Rows without two of one key, as checks let them through, and withdrawals of rows sent before."""
        pick = self._random
        seen: set[tuple[object, ...]] = set()
        for table, row in self._rows(hospcode, visits):
            known = {name: value for name, value in row.items() if name in self._columns[table]}
            known |= {"hospcode": hospcode, "d_update": self._stamp(made)}
            key = (table, *(known.get(name) for name in self._keys[table]))
            if key not in seen:
                seen.add(key)
                self._sent.append((table, known))
                yield table, known
        earlier = [(table, row) for table, row in self._sent if row["hospcode"] == hospcode and table != "adp_opd"]
        for position, (table, row) in enumerate(pick.sample(earlier, min(len(earlier), 3)), start=1):
            named = {name: row.get(name) for name in self._keys[table]}
            yield (
                "withdrawals",
                {**named, "file": self._files[table], "d_update": self._stamp(made), "position": position},
            )

    def _stamp(self, made: datetime) -> datetime:
        """When a row was changed: most today, some long before."""
        return made - timedelta(days=self._random.choice([0, 0, 0, 0, 5, 30, 90]))

    def _rows(self, hospcode: str, visits: int) -> Iterator[tuple[str, Row]]:
        pick = self._random
        for _ in range(visits):
            yield from self._visit(hospcode)
        for _ in range(max(1, visits // 4)):
            yield from self._stay(hospcode)
        for _ in range(max(1, visits // 2)):
            yield from self._person(hospcode)
        yield "provider", {"provider": pick.choice("AB"), "providertype": pick.choice(["1", "02", "9"])}

    def _day(self) -> date:
        """Of service: most lately, some long ago, a few before anything else."""
        back = self._random.choice([0, 0, 1, 2, 3, 5, 8, 15, 29, 30, 31, 60, 90])
        return self._today() - timedelta(days=back)

    def _pid(self) -> str:
        # Some are in no register, and registers tell of some whom no other file knows.
        return str(self._random.randint(1, N_PIDS + 2))

    def _visit(self, hospcode: str) -> Iterator[tuple[str, Row]]:
        pick, day, pid = self._random, self._day(), self._pid()
        row: Row = {"pid": pid, "seq": str(pick.randint(1, 30)), "date_serv": day}
        if pick.random() < 0.3 and self._visits:
            row = dict(pick.choice(self._visits))  # told again, or another facility's of the same numbers
        self._visits.append(row)
        clinic, provider = pick.choice(["00100", "00200", "xyz"]), pick.choice("ABC")
        if pick.random() < 0.85:
            yield "service", {
                **row, "time_serv": pick.choice(["080000", "103000", None]), "typein": pick.choice("11112345"),
                "typeout": pick.choice("111237"), "intime": pick.choice("12"),
                "instype": pick.choice(["0100", "2100", "Z"]),
                "main": pick.choice([*FACILITIES, "99999"]), "hsub": pick.choice([*FACILITIES, None]),
                "price": pick.choice([100, 250, 99.5, None]), "cost": 80,
            }  # fmt: skip
        # A line may bear the number of another person than the visit does.
        line = {
            **row,
            "pid": self._pid() if pick.random() < 0.1 else row["pid"],
            "clinic": clinic,
            "provider": provider,
        }
        for number, code in enumerate(pick.sample(_DIAGNOSES, pick.randint(0, 3))):
            yield "diagnosis_opd", {**line, "diagcode": code, "diagtype": "1" if number == 0 else "2"}
        for code in pick.sample([*_DRUGS, "unmapped"], pick.randint(0, 3)):
            yield (
                "drug_opd",
                {**line, "didstd": code, "amount": pick.choice([10, 30, 90]), "drugprice": 2, "drugcost": 1},
            )
        if pick.random() < 0.4:
            yield (
                "procedure_opd",
                {**line, "procedcode": pick.choice(_PROCEDURES), "serviceprice": pick.choice([500, 50])},
            )
        if pick.random() < 0.4:
            item = {"chargeitem": pick.choice(["01", "05"]), "chargelist": "1", "instype": "0100"}
            yield "charge_opd", {**line, **item, "quantity": 1, "price": pick.choice([10, 20.25])}
        if pick.random() < 0.5:
            tested = {"labtest": pick.choice(_TESTS), "labresult": pick.choice(["5.5", "40", "7.25", "neg"])}
            yield "labfu", {**line, **tested}
        if pick.random() < 0.15:
            yield "adp_opd", {**line, "type": "05", "code": pick.choice(["walkin", "other"])}
        moment = datetime.combine(day, time(pick.choice([8, 9])))
        if pick.random() < 0.2:
            yield "accident", {**line, "datetime_serv": moment, "urgency": pick.choice("12345")}
        if pick.random() < 0.2:
            yield (
                "appointment",
                {**line, "aptype": pick.choice("12"), "apdate": day + timedelta(days=30), "apdiag": "I10"},
            )
        if pick.random() < 0.2:
            letter = {"referid": str(pick.randint(1, 8)), "hosp_destination": pick.choice(list(FACILITIES))}
            yield "refer_history", {**line, **letter, "datetime_serv": moment, "datetime_refer": moment}
        if pick.random() < 0.2:
            answer = {"referid_source": str(pick.randint(1, 8)), "hosp_source": pick.choice(list(FACILITIES))}
            yield (
                "refer_result",
                {**answer, "refer_result": "1", "datetime_in": moment, "an_in": str(pick.randint(1, 9))},
            )

    def _stay(self, hospcode: str) -> Iterator[tuple[str, Row]]:
        pick, pid = self._random, self._pid()
        admitted = datetime.combine(self._day(), time(pick.choice([1, 12, 23])))
        row: dict[str, object] = {"pid": pid, "an": str(pick.randint(1, 9)), "datetime_admit": admitted}
        if pick.random() < 0.85:
            yield "admission", {
                **row, "seq": str(pick.randint(1, 6)),
                "datetime_disch": admitted + timedelta(hours=pick.choice(_STAY_HOURS)),
                "typein": pick.choice("123"), "dischtype": pick.choice("1129"), "dischstatus": pick.choice("128"),
                "instype": "0100", "price": pick.choice([1000, 5000.5]),
            }  # fmt: skip
        line = {**row, "pid": self._pid() if pick.random() < 0.1 else pid, "wardstay": "10100", "warddiag": "10100"}
        for number, code in enumerate(pick.sample(_DIAGNOSES, pick.randint(0, 3))):
            yield "diagnosis_ipd", {**line, "diagcode": code, "diagtype": "1" if number == 0 else "2"}
        drug = {"didstd": pick.choice(list(_DRUGS)), "typedrug": pick.choice("12"), "datestart": admitted.date()}
        yield "drug_ipd", {**line, **drug, "amount": 30, "drugprice": 2, "drugcost": 1}
        yield (
            "procedure_ipd",
            {**line, "procedcode": pick.choice(_PROCEDURES), "timestart": admitted + timedelta(hours=3)},
        )
        yield "charge_ipd", {**line, "chargeitem": "01", "chargelist": "1", "instype": "0100", "price": 300}

    def _person(self, hospcode: str) -> Iterator[tuple[str, Row]]:
        pick, pid = self._random, str(self._random.randint(1, N_PIDS))
        number = pick.choice([*NUMBERS, None])
        yield "person", {
            "pid": pid, "cid_pseudonym": number, "cid_class": "valid" if number else pick.choice(["dummy", None]),
            "sex": pick.choice("12"), "birth_month": date(pick.choice([1940, 1955, 1980, 1981, 1999]), 5, 1),
            "nation": "099", "typearea": pick.choice("1134"), "discharge": pick.choice("99991"),
        }  # fmt: skip
        if pick.random() < 0.3:
            yield (
                "address",
                {"pid": pid, "addresstype": "1", "changwat": pick.choice(["54", "10"]), "ampur": "01", "tambon": "01"},
            )
        if pick.random() < 0.3:
            right = {"instype_new": pick.choice(["0100", "2100"]), "main": pick.choice(list(FACILITIES))}
            yield "card", {"pid": self._pid(), **right, "startdate": self._day()}
        if pick.random() < 0.3:
            disease = {"date_diag": self._day(), "chronic": pick.choice(["I10", "E11.9", "E785"])}
            yield "chronic", {"pid": self._pid(), **disease}
        if pick.random() < 0.1:
            yield "death", {"pid": self._pid(), "ddeath": self._day(), "cdeath": "I64"}


def _numbered(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Every row with the line that it has in its delivery, the same whenever the content comes again."""
    numbered: dict[str, list[Row]] = {}
    for table, rows in tables.items():
        lines: dict[object, int] = {}
        for row in rows:
            line = lines[row["delivery_id"]] = lines.get(row["delivery_id"], 1) + 1
            numbered.setdefault(table, []).append({**row, "source_line": line})
    return numbered
