"""Sealed files: what was written is read anywhere in them, and whatever was done to them is found."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.sealing import CHUNK, TAG, BrokenSealError, Sealed, SealKey, plain_size, sealed_size
from ruam.errors import SetupError

KEY = SealKey("inbox", bytes(range(32)))
HEADER = sealed_size(0) - TAG
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5)


def content(n: int) -> bytes:
    """Bytes of which no two chunks are alike."""
    return b"".join(hashlib.sha256(place.to_bytes(4, "big")).digest() for place in range(n // 32 + 1))[:n]


def seal(path: Path, plain: bytes, label: str = "a", key: SealKey = KEY, piece: int = 1 << 20) -> Sealed:
    sealed = Sealed(path, key, label)
    with sealed.writing(path) as out:
        for at in range(0, len(plain), piece):
            out.write(plain[at : at + piece])
        assert out.tell() == len(plain)
    return sealed


def unsealed(sealed: Sealed) -> bytes:
    with sealed.open() as file:
        return file.read()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1000, CHUNK, 1 << 20])
def test_what_was_sealed_is_read_back_and_its_size_is_known_without_opening(
    tmp_path: Path, size: int, piece: int
) -> None:
    sealed = seal(tmp_path / "a", content(size), piece=piece)
    assert unsealed(sealed) == content(size)
    assert sealed.size == size
    assert sealed.path.stat().st_size == sealed_size(size)
    assert plain_size(sealed_size(size)) == size


@given(at=st.integers(0, 3 * CHUNK + 9), n=st.integers(0, 3 * CHUNK))
def test_any_part_can_be_read(tmp_path_factory: pytest.TempPathFactory, at: int, n: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any-part"
    plain = content(3 * CHUNK + 5)
    sealed = Sealed(path, KEY, "a") if path.exists() else seal(path, plain)
    with sealed.open() as file:
        file.seek(at)
        assert file.read(n) == plain[at : at + n]
        assert file.tell() == max(at, min(at + n, len(plain))) or at > len(plain)


def test_a_zip_is_read_through_the_seal(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", content(2 * CHUNK))
    with seal(tmp_path / "a", made.getvalue()).open() as file, zipfile.ZipFile(file) as archive:
        assert archive.read("a.txt") == content(2 * CHUNK)
        assert hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_cut_off_anywhere_does_not_open(tmp_path: Path, size: int) -> None:
    sealed = seal(tmp_path / "a", content(size))
    whole = sealed.path.read_bytes()
    ends = {0, 5, HEADER, HEADER + TAG, len(whole) - 1, *range(HEADER, len(whole), CHUNK + TAG)} - {len(whole)}
    for end in ends:
        sealed.path.write_bytes(whole[:end])
        with pytest.raises(BrokenSealError):
            sealed.open()
    for more in (b"x", whole[-CHUNK - TAG :]):
        sealed.path.write_bytes(whole + more)
        with pytest.raises(BrokenSealError):
            sealed.open()


def test_each_changed_byte_is_found(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "a", content(300))
    whole = sealed.path.read_bytes()
    for at in range(len(whole)):
        sealed.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((BrokenSealError, SetupError)):
            unsealed(sealed)


def test_chunks_in_another_order_or_of_another_file_are_found_where_they_are_read(tmp_path: Path) -> None:
    plain = content(4 * CHUNK)
    one, other = seal(tmp_path / "a", plain), seal(tmp_path / "b", plain)
    piece = CHUNK + TAG
    whole, others = one.path.read_bytes(), other.path.read_bytes()
    header, chunks = whole[:HEADER], [whole[HEADER + n * piece :][:piece] for n in range(4)]
    for mixed in (
        [chunks[1], chunks[0], *chunks[2:]],
        [chunks[0], chunks[0], *chunks[2:]],
        [chunks[0], others[HEADER + piece :][:piece], *chunks[2:]],
    ):
        one.path.write_bytes(header + b"".join(mixed))
        with one.open() as file, pytest.raises(BrokenSealError):
            file.read()
    one.path.write_bytes(header + b"".join([*chunks[:2], chunks[3]]))
    with pytest.raises(BrokenSealError):
        one.open()


def test_a_file_in_the_place_of_another_does_not_open(tmp_path: Path) -> None:
    one, other = seal(tmp_path / "a", b"one", "a"), seal(tmp_path / "b", b"two", "b")
    other.path.replace(one.path)
    with pytest.raises(BrokenSealError, match="in another's place"):
        one.open()


def test_another_key_is_named_and_never_shown(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "a", b"plain")
    wrong = SealKey("inbox", bytes(32))
    with pytest.raises(SetupError) as caught:
        Sealed(sealed.path, wrong, "a").open()
    assert caught.value.exit_code == 4
    assert {KEY.key_id, wrong.key_id} <= set(str(caught.value).replace(",", " ").replace(".", " ").split())
    assert not Sealed(sealed.path, wrong, "a").is_sealed_with_its_key()
    assert sealed.is_sealed_with_its_key()
    for told in (str(caught.value), repr(sealed), str(KEY)):
        assert repr(KEY.secret)[2:-1] not in told
        assert KEY.secret.hex() not in told


def test_the_same_content_sealed_twice_has_no_chunk_in_common(tmp_path: Path) -> None:
    files = [seal(tmp_path / name, bytes(4 * CHUNK)).path.read_bytes()[HEADER:] for name in "ab"]
    chunks = [file[at : at + CHUNK] for file in files for at in range(0, len(file), CHUNK + TAG)]
    assert len(set(chunks)) == len(chunks)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    sealed = Sealed(tmp_path / "a", KEY, "a")
    tracemalloc.start()
    try:
        with sealed.writing(sealed.path) as out:
            for _ in range(64):
                out.write(bytes(CHUNK))
        with sealed.open() as file:
            while file.read(CHUNK):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * CHUNK
