"""Options and arguments that several commands share."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import typer

from ruam.errors import UsageError


def _region(given: str | None) -> str | None:
    """`8` and `08` are region 08; `00` and `unknown` are what belongs to no region."""
    from ruam.settings import REGIONS

    if given is None:
        return None
    code = "00" if given.lower() == "unknown" else given.zfill(2)
    if code not in ("00", *REGIONS):
        raise UsageError(f"{given} is no health region; give 01 to 13, or unknown.")
    return code


def _own_region(given: str | None) -> str | None:
    from ruam.settings import REGIONS

    if given is not None and given not in REGIONS:
        raise UsageError(f"{given!r} is no health region; name one of 01 to 13.")
    return given


def hospcode_of(given: str | None) -> str | None:
    if given is not None and not re.fullmatch(r"[0-9]{5}", given):
        raise UsageError(f"{given!r} is no facility code: it has 5 digits, leading zeros too.")
    return given


Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PLACE",
        help="Zips, folders that are searched for zips, sftp://user@host/folder or s3://bucket/prefix.",
        show_default=False,
    ),
]
NodeRegion = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="NN",
        callback=_own_region,
        help="Take in only what facilities of this health region sent; default RUAM_REGION, else all.",
        show_default=False,
    ),
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="NN", help="One health region (01 to 13), or unknown.", callback=_region),
]
HospCode = Annotated[
    str | None, typer.Option("--hospcode", metavar="NNNNN", help="One facility, by its 5 digits.", callback=hospcode_of)
]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", formats=["%Y-%m-%d"], help="Received on this day (Thai time) or later.", show_default=False
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Show at most so many; 0 shows all. JSON and CSV have all.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for scripts, times in UTC.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV with a header, times in UTC.")]


def one_format(*, as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise UsageError("Choose --json or --csv, not both.")
