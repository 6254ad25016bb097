"""DATA_CORRECT: what a request to withdraw rows may say, and what of it lands."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from ingestion.checks import load_rules
from ingestion.corrections import correctable, withdrawals_schema
from ruam.landing import BATCH, committed_batches
from ruam.settings import Settings
from tests.ingestion.odd_zips import SENDER, cid, make_zip, row, text, zip_name
from tests.ingestion.reading import assert_balanced, flags, landed, records, take_in

VISIT = {"PID": "1001", "SEQ": "S1", "DATE_SERV": "20240501"}


def request(content: object, table: str = "SERVICE", **changes: str) -> dict[str, str]:
    sent = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return row("DATA_CORRECT", TABLENAME=table, DATA_CORRECT=sent, **changes)


def send(settings: Settings, tmp_path: Path, *requests: dict[str, str], **members: str) -> None:
    """Take in one delivery of these requests (and other members), and see that its rows balance."""
    files = {f"{name}.txt": content for name, content in members.items()}
    zipped = make_zip(tmp_path / zip_name(), {"DATA_CORRECT.txt": text("DATA_CORRECT", *requests), **files})
    outcomes = [one.outcome for one in take_in(settings, zipped).outcomes]
    assert outcomes[0].startswith("accepted")
    assert_balanced(settings)


def withdrawals(settings: Settings) -> pl.DataFrame:
    found = [batch / "withdrawals.parquet" for batch in committed_batches(settings.data_home.landing)]
    frames = [pl.read_parquet(path, hive_partitioning=False).drop(BATCH) for path in found if path.exists()]
    assert all(dict(frame.schema) == withdrawals_schema() for frame in frames)
    return pl.concat(frames)


def rejects(settings: Settings) -> list[tuple[int, str, str]]:
    frame = records(settings, "rejects").filter(pl.col("file") == "DATA_CORRECT").sort("source_line")
    return frame.select("source_line", "column_name", "rule").rows()


def test_a_request_lands_once_and_each_row_it_names_lands_as_a_typed_key(settings: Settings, tmp_path: Path) -> None:
    second = {"pid": 1002, "Seq": " S2 ", "DATE_SERV": "20240502"}
    send(settings, tmp_path, request([VISIT, second], D_UPDATE="20240520090000"))
    assert landed(settings, "DATA_CORRECT").select("hospcode", "tablename", "source_line").rows() == [
        (SENDER, "SERVICE", 2)
    ]
    frame = withdrawals(settings)
    kept = ("hospcode", "file", "pid", "seq", "date_serv", "d_update", "source_line", "position")
    stamp = datetime.fromisoformat("2024-05-20 09:00")
    assert frame.select(kept).rows() == [
        (SENDER, "SERVICE", "1001", "S1", date(2024, 5, 1), stamp, 2, 1),
        (SENDER, "SERVICE", "1002", "S2", date(2024, 5, 2), stamp, 2, 2),
    ]
    others = frame.select(pl.exclude(*kept, "delivery_id"))
    assert others.null_count().row(0) == (2,) * others.width
    assert rejects(settings) == []


@pytest.mark.parametrize(
    ("table", "key", "column", "value"),
    [
        ("diagnosis_opd.txt", {**VISIT, "DIAGCODE": "J06.9"}, "diagcode", "J06.9"),
        ("PERSON", {"PID": "0012"}, "pid", "0012"),
        ("DEATH", {"PID": "12", "HOSP9_DEATH": "EA0090101", "HOSPCODE9": "EA0090101"}, "pid", "12"),
        ("ADMISSION", {"PID": "1", "AN": "2", "DATETIME_DISCH": "202405011030"}, "datetime_disch", "2024-05-01 10:30"),
        ("SERVICE", {**VISIT, "HOSPCODE": SENDER}, "hospcode", SENDER),
        ("CARE_REFER", {"REFERID": "1", "CARETYPE": "2"}, "caretype", "2"),
    ],
)
def test_a_row_of_any_file_is_named_by_the_key_of_that_file(
    settings: Settings, tmp_path: Path, table: str, key: dict[str, str], column: str, value: str
) -> None:
    send(settings, tmp_path, request(key, table))
    expected = datetime.fromisoformat(value) if column.startswith("datetime") else value
    assert withdrawals(settings).select("file", column).rows() == [(table.upper().removesuffix(".TXT"), expected)]


@pytest.mark.parametrize("file", sorted(correctable()))
def test_a_key_lands_as_it_stands_in_the_landed_row(settings: Settings, tmp_path: Path, file: str) -> None:
    """Also where the facility puts a citizen number in place of its own number."""
    contract = correctable()[file]
    sent = row(file)
    sent |= {name: cid(7) for name in ("PID", "PROVIDER") if name in contract.key}
    key = {name: sent[name] for name in contract.key if name != "HOSPCODE"}
    send(settings, tmp_path, request(key, file), **{file: text(file, sent)})
    names = [name.lower() for name in contract.key]
    assert withdrawals(settings).select(names).rows() == landed(settings, file).select(names).rows()


def test_no_citizen_number_of_a_request_lands(settings: Settings, tmp_path: Path) -> None:
    number = cid(99)
    bad = [f'{{"PID": "{number}"', {"PID": number, "CID": number}, {"PID": number, "NAME": "สมมติ"}]
    send(settings, tmp_path, request({"PID": number}, "PERSON"), *(request(one, "PERSON") for one in bad))
    (pid,) = withdrawals(settings)["pid"]
    assert pid.startswith("x")
    for path in settings.data_home.landing.rglob("*.parquet"):
        shown = pl.read_parquet(path, hive_partitioning=False).write_csv()
        assert number not in shown
        assert "สมมติ" not in shown
    assert {rule for _, _, rule in rejects(settings)} == {"invalid_json", "correction_with_values"}


BAD = [
    (request("{'PID': 1}"), "DATA_CORRECT", "invalid_json"),
    (request('{"PID": "1", "PID": "2", "SEQ": "1", "DATE_SERV": "20240501"}'), "DATA_CORRECT", "invalid_json"),
    (request('{"PID": NaN}'), "DATA_CORRECT", "invalid_json"),
    (request('{"PID": "\\ud800", "SEQ": "1", "DATE_SERV": "20240501"}'), "DATA_CORRECT", "invalid_json"),
    (request("[" * 100_000), "DATA_CORRECT", "invalid_json"),
    (request(""), "DATA_CORRECT", "missing_required"),
    (request([]), "DATA_CORRECT", "wrong_json_form"),
    (request({}), "DATA_CORRECT", "wrong_json_form"),
    (request("12"), "DATA_CORRECT", "wrong_json_form"),
    (request([VISIT, "S2"]), "DATA_CORRECT", "wrong_json_form"),
    (request({**VISIT, "SEQ": ["S1"]}), "DATA_CORRECT", "wrong_json_form"),
    (request({**VISIT, "SEQ": True}), "DATA_CORRECT", "wrong_json_form"),
    (request({**VISIT, "PRICE": "0"}), "DATA_CORRECT", "correction_with_values"),
    (request({"PID": "1001", "SEQ": "S1"}), "DATA_CORRECT.DATE_SERV", "missing_key"),
    (request({**VISIT, "SEQ": None}), "DATA_CORRECT.SEQ", "missing_key"),
    (request({**VISIT, "SEQ": "  "}), "DATA_CORRECT.SEQ", "missing_key"),
    (request({**VISIT, "DATE_SERV": "20240230"}), "DATA_CORRECT.DATE_SERV", "invalid_date"),
    (request({**VISIT, "DATE_SERV": "25670501"}), "DATA_CORRECT.DATE_SERV", "be_year"),
    (request({**VISIT, "HOSPCODE": "90201"}), "DATA_CORRECT.HOSPCODE", "hospcode_not_sender"),
    (request(VISIT, "VISITS"), "TABLENAME", "unknown_table"),
    (request(VISIT, "DATA_CORRECT"), "TABLENAME", "unknown_table"),
    (request(VISIT, "POLICY"), "TABLENAME", "unknown_table"),
    (request(VISIT, ""), "TABLENAME", "missing_key"),
    (request(VISIT, D_UPDATE=""), "D_UPDATE", "missing_key"),
    (request(VISIT, D_UPDATE="20249901000000"), "D_UPDATE", "invalid_date"),
    (request(VISIT, D_UPDATE="20990101000000"), "D_UPDATE", "future_date"),
    (request(VISIT, HOSPCODE="90201"), "HOSPCODE", "hospcode_not_sender"),
]


@pytest.mark.parametrize(("bad", "column", "rule"), BAD, ids=[f"{n}-{rule}" for n, (*_, rule) in enumerate(BAD)])
def test_a_request_that_cannot_be_obeyed_is_set_aside_by_line_and_rule(
    settings: Settings, tmp_path: Path, bad: dict[str, str], column: str, rule: str
) -> None:
    good = request({**VISIT, "SEQ": "S9"})
    send(settings, tmp_path, good, bad, good)
    assert rejects(settings) == [(3, column, rule)]
    assert load_rules()[rule].level in ("row", "both")
    assert withdrawals(settings)["seq"].to_list() == ["S9", "S9"]
    counted = records(settings, "receipt_rules").select("rule", "column_name", "level", "n_rows").rows()
    assert (rule, column, "row", 1) in counted


def test_a_request_is_obeyed_whole_or_not_at_all(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, request([VISIT, {**VISIT, "DATE_SERV": ""}, {**VISIT, "SEQ": ""}]), request(VISIT))
    assert rejects(settings) == [(2, "DATA_CORRECT.DATE_SERV", "missing_key")]
    assert withdrawals(settings)["source_line"].to_list() == [3]


def test_a_file_of_requests_without_its_columns_is_set_aside(settings: Settings, tmp_path: Path) -> None:
    lines = text("DATA_CORRECT", request(VISIT), columns=["HOSPCODE", "TABLENAME", "D_UPDATE"])
    take_in(settings, make_zip(tmp_path / zip_name(), {"DATA_CORRECT.txt": lines}))
    assert rejects(settings) == [(2, "DATA_CORRECT", "missing_required")]
    assert_balanced(settings)


def test_requests_of_many_deliveries_in_one_batch_keep_apart(settings: Settings, tmp_path: Path) -> None:
    zips = [
        make_zip(
            tmp_path / zip_name(code),
            {
                "DATA_CORRECT.txt": text(
                    "DATA_CORRECT", request({**VISIT, "PID": code}, HOSPCODE=code), request("x", HOSPCODE=code)
                )
            },
        )
        for code in ("90101", "90102")
    ]
    take_in(settings, *zips)
    assert_balanced(settings)
    joined = withdrawals(settings).join(records(settings, "receipts"), on="delivery_id", suffix="_of_receipt")
    assert joined.sort("pid").select("pid", "hospcode", "hospcode_of_receipt").rows() == [
        ("90101",) * 3,
        ("90102",) * 3,
    ]


@pytest.mark.parametrize(
    ("sent", "flagged"),
    [('{"weight": 3200}', False), ("[1, 2]", False), ('{"weight": 3200', True), ("weight=3200", True)],
)
def test_data_of_a_policy_that_are_no_json_are_flagged_and_never_land(
    settings: Settings, tmp_path: Path, sent: str, flagged: bool
) -> None:
    lines = text("POLICY", row("POLICY", POLICY_DATA=sent))
    take_in(settings, make_zip(tmp_path / zip_name(), {"POLICY.txt": lines}))
    frame = landed(settings, "POLICY")
    assert "policy_data" not in frame.columns
    assert flags(frame) == [["policy_data:invalid_json"] if flagged else []]
    assert_balanced(settings)
