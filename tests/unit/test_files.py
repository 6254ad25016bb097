"""Files that appear whole or not at all, locks, and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ruam.errors import BusyError
from ruam.files import locked, replacing
from ruam.geography import region_of_province
from ruam.settings import MEBIBYTE, Settings


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_takes_the_place_when_nothing_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_a_lock_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".lock"
    with locked(path, "The store"):
        with (
            pytest.raises(BusyError, match=rf"The store is in use by process {os.getpid()}"),
            locked(path, "The store"),
        ):
            raise AssertionError("held twice")
        with pytest.raises(BusyError), locked(path, "The store"):
            raise AssertionError("held twice")
    with locked(path, "The store"):
        assert path.read_text() == str(os.getpid())


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    script = (
        "import os, sys; from pathlib import Path; from ruam.files import locked\n"
        "context = locked(Path(sys.argv[1]), 'it'); context.__enter__(); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)  # noqa: S603
    assert ended.returncode == -9
    with locked(path, "it"):
        assert path.read_text() == str(os.getpid())


def test_a_lock_is_freed_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock", "it"):
        raise RuntimeError
    with locked(tmp_path / ".lock", "it"):
        assert (tmp_path / ".lock").exists()


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.upper().startswith("RUAM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_defaults(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings()
    assert settings.data_home.root == tmp_path / "data"
    assert settings.host == "127.0.0.1"
    assert settings.limits.max_zip_bytes == 200 * MEBIBYTE
    assert settings.batch_zips == 2_000


def test_a_toml_file_is_read(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ruam.toml").write_text('home = "store"\nworkers = 3\n[limits]\nmax_members = 7\n')
    settings = Settings()
    assert settings.data_home.root == tmp_path / "store"
    assert (settings.workers, settings.limits.max_members, settings.limits.max_ratio) == (3, 7, 200)


def test_the_environment_comes_before_the_toml_file(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ruam.toml").write_text('home = "store"\nworkers = 3\nport = 9000\n[limits]\nmax_members = 7\n')
    clean.setenv("RUAM_HOME", str(tmp_path / "elsewhere"))
    clean.setenv("RUAM_LIMITS__MAX_MEMBERS", "9")
    settings = Settings(port=9001)
    assert settings.data_home.root == tmp_path / "elsewhere"
    assert (settings.workers, settings.limits.max_members, settings.port) == (3, 9, 9001)


@pytest.mark.parametrize(
    ("name", "value"), [("RUAM_WORKERS", "0"), ("RUAM_WORKERS", "x"), ("RUAM_PORT", "70000"), ("RUAM_BATCH_ZIPS", "0")]
)
def test_a_wrong_setting_is_refused(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    ("province", "region"), [("50", "01"), ("10", "13"), ("38", "08"), ("99", "00"), ("", "00"), (None, "00")]
)
def test_the_region_of_a_province(province: str | None, region: str) -> None:
    assert region_of_province(province) == region
