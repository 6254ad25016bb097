"""Servers that deliveries are fetched from, started once; and a user of this machine who may reach them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ingestion.servers import Line, S3Server, SshServer, s3_server, ssh_server


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, without keys, known hosts or credentials; nothing is waited for long."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SSH_")):
            monkeypatch.delenv(name)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("RUAM_NETWORK__BACKOFF_SECONDS", "0")
    return home


@pytest.fixture
def line_to() -> Iterator[Callable[[int], Line]]:
    lines: list[Line] = []

    def connect(port: int) -> Line:
        lines.append(Line(port))
        return lines[-1]

    yield connect
    for line in lines:
        with suppress(OSError):
            line.close()
