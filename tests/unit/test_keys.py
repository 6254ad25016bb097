"""Where keys are kept: files, and a key service that speaks HashiCorp Vault's API (a real one, OpenBao)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from identity.keys import (
    KEY_BYTES,
    NAMES,
    FileKeys,
    KeySource,
    MissingKeyError,
    ServiceKeys,
    create_keys,
    id_of,
    keys_of,
    load_key,
    load_keys,
)
from ruam.errors import SetupError
from ruam.home import DataHome
from tests.key_service import MOUNT, PATH, KeyService, key_service

ALL = f'path "{MOUNT}/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}'
READ = f'path "{MOUNT}/data/{PATH}/*" {{ capabilities = ["read"] }}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyService]:
    with key_service(tmp_path_factory.mktemp("key-service")) as running:
        yield running


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: KeyService) -> pytest.MonkeyPatch:
    """As an operator who may do all with the project's keys."""
    for name in ("VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_ROLE_ID_FILE", "VAULT_SECRET_ID_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_ADDR", service.address)
    monkeypatch.setenv("VAULT_TOKEN", service.token(ALL))
    return monkeypatch


@pytest.fixture(params=["files", "service"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> KeySource:
    """Somewhere without any key."""
    if request.param == "files":
        return FileKeys(tmp_path / "elsewhere" / "keys")
    request.getfixturevalue("login")
    return ServiceKeys(MOUNT, f"{PATH}/{secrets.token_hex(4)}")


def test_keys_are_made_once_wherever_they_are_kept(source: KeySource) -> None:
    with pytest.raises(MissingKeyError, match=r"linkage.* is missing\. Run `ruam init`"):
        load_keys(source)
    assert create_keys(source) == list(NAMES)
    first = load_keys(source)
    assert create_keys(source) == []
    assert load_keys(source) == first
    assert len({load_key(source, name) for name in NAMES}) == len(NAMES)
    assert not source.add("linkage", bytes(KEY_BYTES))
    assert load_keys(source) == first


def test_the_next_key_takes_its_place_whole_and_the_old_one_is_kept(source: KeySource) -> None:
    create_keys(source)
    old, new = load_key(source, "analysis"), secrets.token_bytes(KEY_BYTES)
    source.promote("analysis")
    assert load_key(source, "analysis") == old
    assert source.add("analysis.next", new)
    assert load_key(source, "analysis") == old
    source.promote("analysis")
    assert load_key(source, "analysis") == new
    with pytest.raises(MissingKeyError, match=r"analysis\.next"):
        source.read("analysis.next")
    source.promote("analysis")
    assert load_key(source, "analysis") == new
    if isinstance(source, FileKeys):
        assert source.read(f"analysis.{id_of(old)}") == old
    else:
        assert isinstance(source, ServiceKeys)
        earlier = source._secrets.read_secret_version(
            f"{source.path}/analysis", version=1, mount_point=MOUNT, raise_on_deleted_version=True
        )
        assert earlier["data"]["data"]["key"] == old.hex()


def test_a_next_key_that_is_not_wanted_is_forgotten(source: KeySource) -> None:
    create_keys(source)
    before = load_keys(source)
    assert source.add("linkage.next", secrets.token_bytes(KEY_BYTES))
    source.discard("linkage.next")
    source.discard("linkage.next")
    source.promote("linkage")
    assert load_keys(source) == before


def test_an_app_role_that_may_only_read_reads_and_makes_nothing(
    login: pytest.MonkeyPatch, service: KeyService, tmp_path: Path
) -> None:
    source = ServiceKeys(MOUNT, PATH)
    create_keys(source)
    expected = load_keys(source)
    role, secret = service.app_role(tmp_path, READ)
    login.delenv("VAULT_TOKEN")
    login.setenv("VAULT_ROLE_ID_FILE", str(role))
    login.setenv("VAULT_SECRET_ID_FILE", str(secret))
    source = ServiceKeys(MOUNT, PATH)
    assert load_keys(source) == expected
    with pytest.raises(SetupError, match=r"analysis may not be reached.*permission denied"):
        source.add("analysis", bytes(KEY_BYTES))
    secret.chmod(0o440)
    with pytest.raises(SetupError, match=r"secret-id has mode 0440"):
        load_keys(ServiceKeys(MOUNT, PATH))


def wrong_token(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.setenv("VAULT_TOKEN", "nobody")


def other_policy(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.setenv("VAULT_TOKEN", service.token(f'path "{MOUNT}/data/others/*" {{ capabilities = ["read"] }}'))


def no_token(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.delenv("VAULT_TOKEN")


def nobody_listens(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.setenv("VAULT_ADDR", "http://127.0.0.1:9")


def no_address(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.delenv("VAULT_ADDR")


def in_the_clear(login: pytest.MonkeyPatch, service: KeyService) -> None:
    login.setenv("VAULT_ADDR", "http://keys.example:8200")


def deleted(login: pytest.MonkeyPatch, service: KeyService) -> None:
    service.root.secrets.kv.v2.delete_latest_version_of_secret(f"{PATH}/linkage", mount_point=MOUNT)


def no_hex(login: pytest.MonkeyPatch, service: KeyService) -> None:
    service.root.secrets.kv.v2.create_or_update_secret(f"{PATH}/linkage", {"key": "ไม่ใช่"}, mount_point=MOUNT)


def no_field(login: pytest.MonkeyPatch, service: KeyService) -> None:
    service.root.secrets.kv.v2.create_or_update_secret(f"{PATH}/linkage", {"clue": "00"}, mount_point=MOUNT)


def too_short(login: pytest.MonkeyPatch, service: KeyService) -> None:
    service.root.secrets.kv.v2.create_or_update_secret(f"{PATH}/linkage", {"key": "00" * 31}, mount_point=MOUNT)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (wrong_token, r"linkage may not be reached: http://127\S+ refused \(.*permission denied"),
        (other_policy, r"linkage may not be reached.*permission denied.*policy"),
        (no_token, r"VAULT_TOKEN is not set"),
        (nobody_listens, r"linkage cannot be read: http://127\.0\.0\.1:9 did not answer"),
        (no_address, r"VAULT_ADDR does not say"),
        (in_the_clear, r"would send keys in the clear"),
        (deleted, r"linkage is missing"),
        (no_hex, r"linkage holds no key"),
        (no_field, r"linkage holds no key"),
        (too_short, r"linkage has 31 bytes"),
    ],
)
def test_what_is_wrong_with_a_key_service_is_told_with_the_name_of_the_key(
    login: pytest.MonkeyPatch, service: KeyService, spoil: Callable[[pytest.MonkeyPatch, KeyService], None], words: str
) -> None:
    service.root.secrets.kv.v2.delete_metadata_and_all_versions(f"{PATH}/linkage", mount_point=MOUNT)
    create_keys(ServiceKeys(MOUNT, PATH))
    key = load_key(ServiceKeys(MOUNT, PATH), "linkage")
    spoil(login, service)
    with pytest.raises(SetupError, match=words) as caught:
        load_keys(ServiceKeys(MOUNT, PATH))
    assert key.hex() not in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_sealed_service_is_told_and_works_again_when_it_was_unsealed(
    login: pytest.MonkeyPatch, service: KeyService
) -> None:
    create_keys(ServiceKeys(MOUNT, f"{PATH}/sealed"))
    with (
        service.sealed(),
        pytest.raises(SetupError, match=r"linkage cannot be read: .* is sealed or down .* Unseal it"),
    ):
        load_keys(ServiceKeys(MOUNT, f"{PATH}/sealed"))
    assert load_keys(ServiceKeys(MOUNT, f"{PATH}/sealed")).key_id


def test_a_home_says_where_its_keys_are(tmp_path: Path) -> None:
    assert keys_of(DataHome(tmp_path)) == FileKeys(tmp_path / "keys")
    assert keys_of(DataHome(tmp_path, str(tmp_path / "apart"))) == FileKeys(tmp_path / "apart")
    service = keys_of(DataHome(tmp_path, "vault://kv/health/ruam"))
    assert service == ServiceKeys("kv", "health/ruam")
    assert str(service) == "vault://kv/health/ruam"
    for wrong in ("vault://", "vault://kv", "vault:///x"):
        with pytest.raises(SetupError, match="MOUNT/PATH"):
            keys_of(DataHome(tmp_path, wrong))


def test_a_file_of_a_key_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        FileKeys(tmp_path).add("vault", bytes(KEY_BYTES))
    assert list(tmp_path.iterdir()) == []
