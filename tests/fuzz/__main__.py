"""Fuzz one target with atheris: `python -m tests.fuzz TARGET [--seconds 3600] [--keep]`.

What is found that reaches something new goes to `.fuzz/TARGET/`; `--keep` takes the smallest set of it that reaches as
much into the kept corpus, `tests/fuzz/corpus/TARGET/`, which the tests replay. A failing input is left in `.fuzz/` and
the exit code is not 0.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import atheris

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # One line at a time gives no two something to do.

with atheris.instrument_imports(
    include=["ingestion.archive", "ingestion.dbf", "ingestion.delivery", "ingestion.text", "zipfile"]
):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
FOUND = Path(".fuzz")
MOST_BYTES = 1200
"""Of an input: what is small says what it is about."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--keep", action="store_true")
    given, of_the_fuzzer = parser.parse_known_args()
    kept, found = CORPUS / given.target, FOUND / given.target
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"-max_len={MOST_BYTES}", "-timeout=20", "-rss_limit_mb=1024", f"-artifact_prefix={FOUND}/"]
    if given.keep:
        options += ["-merge=1", str(kept), str(found)]
    else:
        options += [f"-max_total_time={given.seconds}", "-print_final_stats=1", str(found), str(kept)]
    # To merge, the fuzzer calls itself as its first argument says, with more of its own.
    itself = f"{sys.executable} -m tests.fuzz {given.target}"
    atheris.Setup([itself, *(of_the_fuzzer or options)], TARGETS[given.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
