"""The contracts and rules of the reference tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ingestion import reference_rows
from ingestion.reference_rows import CONTRACTS, TERMINOLOGY, load_reference_contracts, load_reference_rules

SHORT_FORM = {
    "registry": "hoscode hosname hostype provcode distcode subdistcode hoscodenew bed mcode zone_code status "
    "register_date close_date",
    "drugs": "didstd dname atc route units_per_day chronic",
    "indicators": "indicator_id series unit period_start period_end area value source known_on given_by",
}


@pytest.mark.parametrize("table", SHORT_FORM)
def test_the_short_form_is_kept_in_its_order(table: str) -> None:
    kept = list(load_reference_contracts()[table].kept)
    names = SHORT_FORM[table].split()
    assert kept[: len(names)] == names


def test_the_registry_has_the_34_columns_of_the_export_and_keeps_no_address() -> None:
    columns = load_reference_contracts()["registry"].by_name
    assert len(columns) == 34
    assert {name for name, column in columns.items() if column.drop == "address"} == {
        *("address", "road", "mu", "postcode"),
    }


def test_everything_is_described_in_both_languages() -> None:
    for table, contract in load_reference_contracts().items():
        assert contract.table == table
        for what in (contract, *contract.columns):
            assert any("ก" <= letter <= "๛" for letter in what.label_th)
            assert what.description.isascii()
            assert what.description.endswith(".")
        assert all((TERMINOLOGY / column.codes).exists() for column in contract.columns if column.codes)


def test_every_rule_is_used_and_said_in_both_languages() -> None:
    used = Path(reference_rows.__file__).read_text(encoding="utf-8")
    used += "".join(path.read_text(encoding="utf-8") for path in CONTRACTS.glob("*.yml"))
    for code, rule in load_reference_rules().items():
        assert code in used
        assert rule.level in ("row", "warning")
        assert any("ก" <= letter <= "๛" for letter in rule.th)
        assert rule.en.endswith(".")
        assert rule.fix.endswith(".")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "hospital"}, "the key must be a column"),
        ({"key": "bed"}, "the key must be a column"),
        ({"owner": "x"}, "owner"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    contract = yaml.safe_load((CONTRACTS / "registry.yml").read_text(encoding="utf-8"))
    (tmp_path / "registry.yml").write_text(yaml.safe_dump(contract | change), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"registry\.yml(?s:.*){message}"):
        load_reference_contracts(tmp_path)


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("bed", {"aliases": ["hoscode"]}, "stands twice"),
        ("hoscodenew", {"ends_with": "hcode"}, "ends_with names no column"),
        ("hoscodenew", {"told_by": "hcode"}, "told_by names no column"),
        ("close_date", {"not_before": "open_date"}, "not_before names no column"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(
    tmp_path: Path, column: str, change: dict[str, object], message: str
) -> None:
    contract = yaml.safe_load((CONTRACTS / "registry.yml").read_text(encoding="utf-8"))
    contract["columns"] = [one | change if one["name"] == column else one for one in contract["columns"]]
    (tmp_path / "registry.yml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_reference_contracts(tmp_path)
