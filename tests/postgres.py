"""A PostgreSQL server of one's own, behind a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, DATABASE = "ruam", "postgres"


def programs() -> Path | None:
    """Where the server's programs lie, the newest; None when it is not installed."""
    found = [Path(shutil.which("initdb") or "/").parent, *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    return next((one for one in reversed(found) if (one / "initdb").exists()), None)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server, from the programs in a folder, until the block ends: the folder of its socket. `USER` may all there.

    It will not run as root, and runs as `nobody` then.
    """
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as made:
        if user:
            os.chown(made, user.pw_uid, user.pw_gid)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(  # noqa: S603 - the server's own programs
                [folder / program, "-D", f"{made}/data", *arguments],
                check=True, stdout=subprocess.DEVNULL, user=user and user.pw_uid, group=user and user.pw_gid, cwd=made,
            )  # fmt: skip

        run("initdb", f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--locale=C")
        run("pg_ctl", "--wait", f"--log={made}/log", f"--options=-k {made} -c listen_addresses=''", "start")
        try:
            yield made
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
