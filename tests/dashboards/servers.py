"""The real server of the pages, on a free port of loopback, until a block ends."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

PROJECT = Path(__file__).parents[2]
N_TRIES, SECONDS_BETWEEN_TRIES = 900, 0.2


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(
    home: Path, port: int, *arguments: str, tls: ssl.SSLContext | None = None, **environment: str
) -> Iterator[str]:
    """`ruam serve` over a home, over TLS where a context is given; gives its address once it answers."""
    (home / "landing").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ruam.cli", "serve", "--port", str(port), *arguments]
    base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=PROJECT,
        env=os.environ | {"RUAM_HOME": str(home)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            wait_until_healthy(server, base, tls)
            yield base
        finally:
            server.terminate()


def wait_until_healthy(server: subprocess.Popen[bytes], base: str, tls: ssl.SSLContext | None = None) -> None:
    for _ in range(N_TRIES):
        try:
            server.wait(timeout=SECONDS_BETWEEN_TRIES)
        except subprocess.TimeoutExpired:
            try:
                with urllib.request.urlopen(f"{base}/_stcore/health", timeout=5, context=tls):  # noqa: S310
                    return
            except (urllib.error.URLError, TimeoutError):
                continue
        pytest.fail(f"the server ended with code {server.returncode} before it answered")
    pytest.fail(f"no answer from {base}")


def demo_context(browser: Browser, address: str, user: str, width: int = 1440) -> BrowserContext:
    """A browser of its own in which a demo user is signed in."""
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="th-TH")
    answer = context.request.post(
        f"{address}/auth/demo", form={"user": user, "next": "/"}, headers={"origin": address}, max_redirects=0
    )
    assert answer.status == 303
    return context
