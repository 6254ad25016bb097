"""Real servers on this machine that deliveries are fetched from: OpenSSH, an S3 server, and a line that can be cut."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from tests.installed import missing

WAIT_SECONDS = 180
BUCKET = "drop"
SECRET = secrets.token_hex(16)
SENDER_SECRET = secrets.token_hex(16)
ACCESS_KEY = "AKREADEROFTHEDROP"


def wait_until(condition: Callable[[], object], what: str, process: subprocess.Popen[Any] | None = None) -> None:
    """Return when the condition holds; fail at the deadline, or when the process that should bring it about ended."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the process ended with code {process.returncode} before {what}")
        if time.monotonic() > until:
            pytest.fail(f"not within {WAIT_SECONDS} seconds: {what}")
        time.sleep(0.05)


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def running(command: list[str], folder: Path, ready: Callable[[], object]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("wb") as log:
        # It dies with the tests, however they end.
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603
        try:
            wait_until(ready, "the server answers", process)
            yield process
        finally:
            process.kill()
            process.wait(timeout=WAIT_SECONDS)


def as_an_ordinary_user(command: list[str]) -> list[str]:
    """Root reads every file whatever its mode; without these rights it is refused like anybody else."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command]


@dataclass(frozen=True)
class SshServer:
    port: int
    host_key: str
    """Type and base64, as a line of `known_hosts` has it."""
    user_key: Path

    def address(self, folder: Path | str, port: int | None = None) -> str:
        return f"sftp://{getuser()}@127.0.0.1:{port or self.port}{folder}"

    def trust(self, home: Path, *ports: int) -> None:
        """Make `home` the home of a user who has the key, and knows the host at these ports."""
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
        for suffix in ("", ".pub"):
            shutil.copy(self.user_key.with_name(self.user_key.name + suffix), ssh / f"id_ed25519{suffix}")
        with (ssh / "known_hosts").open("a") as known:
            known.writelines(f"[127.0.0.1]:{port} {self.host_key}\n" for port in ports)


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """An OpenSSH server that lets this user read over SFTP, and nothing else."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if sshd is None:
        missing("OpenSSH's server is not installed; `make services` installs it")
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)  # noqa: S603
    (port,) = free_ports(1)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        # -R: read only. What would write, or remove, fails here.
        "KbdInteractiveAuthentication no\nForceCommand internal-sftp -R\nSubsystem sftp internal-sftp -R\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = as_an_ordinary_user([sshd, "-D", "-e", "-f", str(folder / "sshd_config")])
    with running(command, folder, lambda: answers(port)):
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        yield SshServer(port, host_key, folder / "user")


@dataclass(frozen=True)
class S3Server:
    port: int
    sender: Any
    """A client that may write; the reader's credentials are `environment`."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "ap-southeast-7",
            "AWS_EC2_METADATA_DISABLED": "true",
            "RUAM_S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
        }

    def put(self, key: str, content: bytes) -> None:
        self.sender.put_object(Bucket=BUCKET, Key=key, Body=content)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A SeaweedFS with one bucket, a sender who writes into it, and a reader who may not, nor read below `closed`."""
    import botocore.session

    weed = str(Path(sys.executable).parent / "weed")
    ports = free_ports(8)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    names = (*names, "s3.port", "s3.port.grpc")
    identities = [
        {
            "name": "sender",
            "credentials": [{"accessKey": "AKSENDER", "secretKey": SENDER_SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET}],
            "actions": [f"Read:{BUCKET}/open*", f"List:{BUCKET}*"],
        },
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    command = [
        *(weed, "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false"),
        *("-s3.config=identities.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        *("-volume.max=8", "-master.volumeSizeLimitMB=64"),
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]
    port = ports[names.index("s3.port")]
    sender = botocore.session.Session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="AKSENDER",
        aws_secret_access_key=SENDER_SECRET,
        region_name="ap-southeast-7",
    )

    def takes_files() -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):
            if not any(one["Name"] == BUCKET for one in sender.list_buckets()["Buckets"]):
                sender.create_bucket(Bucket=BUCKET)
            sender.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
            return True
        return False

    with running(command, folder, lambda: answers(port) and takes_files()):
        yield S3Server(port, sender)


class Line:
    """A TCP line to a server on this machine that counts what comes back, and can be cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.n_received = 0
        """Bytes that came from the server."""
        self.n_cuts = 0
        self.cut_after: int | None = None
        """Bytes from the server until the next cut, after which the line is whole again."""
        self.keep_cutting = False
        self.flows = threading.Event()
        """Cleared, the line stays up and nothing comes back."""
        self.flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.flows.set()
        # A close alone would leave the port open for as long as a thread waits for a caller.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, sink, comes_back in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._carry, args=(source, sink, comes_back), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, comes_back: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if comes_back:
                    self.flows.wait()
                    self.n_received += len(piece)
                    if self._is_cut(len(piece)):
                        break
                sink.sendall(piece)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _is_cut(self, n: int) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= n
        if self.cut_after > 0:
            return False
        self.cut_after = 0 if self.keep_cutting else None
        self.n_cuts += 1
        return True
