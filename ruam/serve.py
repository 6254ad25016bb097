"""Serve the pages on this machine."""

from __future__ import annotations

import os
import subprocess
import sys

from ruam.errors import UsageError
from ruam.settings import PROJECT, Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(settings: Settings) -> int:
    """Run the pages until interrupted; return the server's exit code.

    Raises `UsageError` for an address other than loopback: the pages have no login of their own yet.
    """
    if settings.host not in LOOPBACK:
        raise UsageError(
            f"{settings.host} is not this machine. The pages are served on loopback only; "
            "put an authenticating proxy in front of them to reach further."
        )
    command = [
        *(sys.executable, "-m", "streamlit", "run", str(PROJECT / "dashboards" / "app.py")),
        *(
            "--server.address",
            settings.host,
            "--server.port",
            str(settings.port),
            "--server.headless",
            "true",
        ),
    ]
    environment = os.environ | {"RUAM_HOME": str(settings.data_home.root)}
    try:
        return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode  # noqa: S603
    except KeyboardInterrupt:
        return 0
