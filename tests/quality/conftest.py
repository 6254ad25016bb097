from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from quality import checkpoints, expectations


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints run here and not in a process of their own: Great Expectations is imported once."""

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        expectations.main(command[3:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(checkpoints.subprocess, "run", run)
