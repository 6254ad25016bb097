"""Commands in processes of their own, and the memory that they need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""
"""Runs a command from a small process of its own: what the test runner itself holds would count otherwise."""


def measured(
    command: Sequence[object], environment: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run a command to its end; how it ended, and the bytes of its largest process."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MEASURED, *map(str, command)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    done.stdout, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    assert peak.isdigit(), done.stderr
    return done, int(peak)
