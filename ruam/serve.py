"""Serve the pages on this machine."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ruam.errors import UsageError
from ruam.settings import PROJECT, Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(settings: Settings) -> NoReturn:
    """Become the server of the pages: a signal to this process is a signal to it, and nothing is left behind.

    Raises `UsageError` for an address other than loopback: the pages have no login of their own yet.
    """
    if settings.host not in LOOPBACK:
        raise UsageError(
            f"{settings.host} is not this machine. The pages are served on loopback only; "
            "put an authenticating proxy in front of them to reach further."
        )
    command = [
        *(sys.executable, "-m", "streamlit", "run", str(PROJECT / "dashboards" / "app.py")),
        *("--server.address", settings.host, "--server.port", str(settings.port)),
        *("--server.headless", "true"),
    ]
    os.chdir(PROJECT)  # The server reads .streamlit/config.toml from where it runs.
    os.execve(sys.executable, command, os.environ | {"RUAM_HOME": str(settings.data_home.root)})  # noqa: S606
