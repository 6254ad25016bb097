"""Memory does not grow with all that was ever received: a day's work holds what the day brings."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path

import polars as pl

from identity.keys import keys_of, load_keys
from ingestion.landing import RECEIPTS
from ruam.landing import BATCH, region_folder
from ruam.settings import Settings
from tests.ingestion.odd_zips import make_zip, visits, zip_name
from tests.ingestion.reading import records, take_in
from tests.measured import measured

N_RECEIPTS = 1_000_000 if os.environ.get("RUAM_TEST_COUNTRY") == "demo" else 200_000
MAX_GROWTH = 96 << 20
"""Of bytes held; read as a whole, 200,000 receipts took 250 MiB, and a million more than 1 GiB."""

CHILD = """
import sys
from pathlib import Path
from ingestion.job import ingest
from ruam.build import _times_changed
from ruam.landing import committed_batches
from ruam.settings import Settings
settings = Settings(home=Path(sys.argv[1]), workers=1)
report = ingest(settings, [Path(sys.argv[2])])
came_earlier = _times_changed(committed_batches(settings.data_home.landing), {"old"})
print(*sorted(one.outcome for one in report.outcomes), came_earlier)
"""


def write_history(settings: Settings, first: str) -> None:
    """Receipts of many deliveries that came before and were built; the first is the delivery `first`."""
    n = N_RECEIPTS
    came = datetime.fromisoformat("2024-07-01")
    one = {
        **{"hospcode": "90101", "sent_at": came, "received_at": came, "outcome": "accepted"},
        "key_id": load_keys(keys_of(settings.data_home)).key_id,
        **dict.fromkeys(("n_bytes", "n_rows", "n_landed", "n_rejected", "n_flagged"), 0),
        **dict.fromkeys(("reason", "detail")),
    }
    ids = [first, *(hashlib.sha256(str(number).encode()).hexdigest() for number in range(1, n))]
    names = [f"F43_90101_{number:014d}.zip" for number in range(n)]
    receipts = pl.DataFrame({"delivery_id": ids, "file_name": names}).with_columns(
        *(pl.lit(value, RECEIPTS[name]).alias(name) for name, value in one.items()), pl.lit("old").alias(BATCH)
    )
    folder = region_folder(settings.data_home.landing, "01") / "batch=old"
    folder.mkdir(parents=True)
    receipts.select(*RECEIPTS, BATCH).write_parquet(folder / "receipts.parquet")


def test_a_small_delivery_needs_no_more_memory_after_years_of_deliveries(settings: Settings, tmp_path: Path) -> None:
    """One that is new, and one that came long ago and comes again under an earlier name."""
    sent = tmp_path / "sent"
    again = make_zip(sent / zip_name("90101"))
    make_zip(sent / zip_name("90102"), {"SERVICE.txt": visits(1, "90102")})
    fresh = Settings(home=Path(shutil.copytree(settings.home, tmp_path / "fresh")))
    write_history(settings, hashlib.sha256(again.read_bytes()).hexdigest())
    peaks = []
    for home, told in ((fresh.home, "accepted accepted False"), (settings.home, "accepted duplicate True")):
        done, peak = measured([sys.executable, "-c", CHILD, home, sent])
        assert (done.returncode, done.stdout) == (0, told), done.stderr
        peaks.append(peak)
    assert peaks[1] - peaks[0] <= MAX_GROWTH, [peak >> 20 for peak in peaks]
    before = records(settings, "receipts").height
    assert before == N_RECEIPTS + 2
    take_in(settings, sent)
    assert records(settings, "receipts").height == before
