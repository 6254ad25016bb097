"""What the stewards' pages read: findings and deliveries row by row, behind the viewer's scope like all else."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from dashboards.queries.reads import Area
from dashboards.queries.serving import Serving, fetch

OPEN = "open"
"""All states but fixed."""
ALL = "all"

_IN_AREA = """
    ($level = 'nation' or ($level = 'province' and province_code = $code)
     or ($level = 'region' and list_contains($provinces, province_code)))
"""
_WANTED = f"""
    {_IN_AREA}
    and ($state = 'all' or state = $state or ($state = 'open' and state <> 'fixed'))
    and ($severity = 'all' or severity = $severity)
    and ($rule = 'all' or rule_code = $rule)
    and ($hospcode = 'all' or hospcode = $hospcode)
"""


@dataclass(frozen=True)
class Wanted:
    """Which findings: `ALL` of a field leaves it open. `provinces` are those of the area where it is a region."""

    area: Area
    provinces: list[str]
    state: str = OPEN
    severity: str = ALL
    rule: str = ALL
    hospcode: str = ALL

    @property
    def of_area(self) -> dict[str, str | list[str]]:
        return {"level": self.area.area_level, "code": self.area.area_code, "provinces": self.provinces}

    @property
    def parameters(self) -> dict[str, str | list[str]]:
        chosen = {"state": self.state, "severity": self.severity, "rule": self.rule, "hospcode": self.hospcode}
        return {**self.of_area, **chosen}


def counts(stewards: Serving, wanted: Wanted) -> pl.DataFrame:
    """rule_code, hospcode, severity, state and n of the area's findings; what filters offer and the page counts."""
    return fetch(
        stewards,
        f"""
        select rule_code, hospcode, severity, state, cast(count(*) as bigint) as n
        from fct_finding_histories
        where {_IN_AREA}
        group by rule_code, hospcode, severity, state
        order by n desc, rule_code, hospcode
        """,
        wanted.of_area,
    )


def findings(stewards: Serving, wanted: Wanted, n: int) -> pl.DataFrame:
    """Columns of fct_finding_histories, the gravest and newest first, at most `n`."""
    return fetch(
        stewards,
        f"""
        select *
        from fct_finding_histories
        where {_WANTED}
        order by case severity when 'high' then 0 when 'medium' then 1 else 2 end, last_opened_at desc, finding_key
        limit {int(n)}
        """,
        wanted.parameters,
    )


def finding(stewards: Serving, finding_key: str) -> dict[str, object] | None:
    """One finding, None where there is none or it is not the viewer's to see."""
    rows = fetch(stewards, "select * from fct_finding_histories where finding_key = $key", {"key": finding_key})
    return rows.row(0, named=True) if rows.height else None


def followed(stewards: Serving, keys: list[str]) -> pl.DataFrame:
    """Those of some findings that the viewer may see (columns of fct_finding_histories)."""
    return fetch(
        stewards, "select * from fct_finding_histories where list_contains($keys, finding_key)", {"keys": sorted(keys)}
    )


def deliveries(stewards: Serving, wanted: Wanted, outcome: str, n: int) -> pl.DataFrame:
    """Columns of fct_deliveries, newest first, at most `n`."""
    return fetch(
        stewards,
        f"""
        select *
        from fct_deliveries
        where {_IN_AREA}
            and ($hospcode = 'all' or hospcode = $hospcode)
            and ($outcome = 'all' or outcome = $outcome)
        order by coalesce(sent_at, received_at) desc, received_at desc, delivery_id
        limit {int(n)}
        """,
        {**wanted.of_area, "hospcode": wanted.hospcode, "outcome": outcome},
    )


def senders(stewards: Serving, wanted: Wanted) -> list[str]:
    """Facilities of the area from which anything came."""
    rows = fetch(
        stewards,
        f"select distinct hospcode from fct_deliveries where {_IN_AREA} and hospcode is not null order by hospcode",
        wanted.of_area,
    )
    return list(rows["hospcode"])


def faults_of(stewards: Serving, delivery_id: str) -> pl.DataFrame:
    """rule_code, kind, file, column_name, state and n_rows of what is open in one delivery, most rows first."""
    return fetch(
        stewards,
        """
        select kind, rule_code, file, column_name, state, cast(sum(n_rows) as bigint) as n_rows
        from fct_finding_histories
        where delivery_id = $delivery and state <> 'fixed'
        group by kind, rule_code, file, column_name, state
        order by n_rows desc nulls first, rule_code, file
        """,
        {"delivery": delivery_id},
    )


def facility_names(serving: Serving) -> dict[str, str]:
    """Thai name of each facility, from the pages' own file."""
    rows = fetch(serving, "select area_code, name_th from dim_areas where area_level = 'facility'")
    return dict(rows.iter_rows())
