"""How dbt is run."""

from __future__ import annotations

import pytest

from ruam.dbt import block_memory, statements_at_once

GIB = 2**30


@pytest.mark.parametrize(
    ("landed", "memory_limit", "expected"),
    [
        (0, "1GB", 4),
        (400_000_000, "4GB", 4),
        (400_000_001, "4GB", 1),
        (400_000_001, "4GiB", 4),
        (1_100_000_000, "5 gb", 1),
        (50_000_001, "500MB", 1),
        (100 * GIB, "2TB", 4),
        (100 * GIB, "80%", 4),
    ],
)
def test_statements_share_the_memory_only_where_it_is_many_times_the_landing(
    landed: int, memory_limit: str, expected: int
) -> None:
    assert statements_at_once(landed, memory_limit, 4) == expected


@pytest.mark.parametrize(
    ("memory_limit", "expected"), [("5GB", "4000000000B"), ("1 gib", "858993459B"), ("80%", "0B"), ("none", "0B")]
)
def test_blocks_are_reserved_in_bytes_below_the_limit(memory_limit: str, expected: str) -> None:
    """A share, which DuckDB documents too, ends the process."""
    assert block_memory(memory_limit) == expected
