"""Looking for planted words in every byte of a folder, in each form that they could have taken without being hidden."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

_ZSTD, _GZIP, _ZIP, _PARQUET = b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1"
_DUCKDB_AT = 8
"""Where `DUCK` stands in a database file, the first eight bytes being a checksum."""

_THAI_DIGITS = str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙")


def forms(word: str) -> set[bytes]:
    """The word in each encoding, escaped, in hex and base64, hashed without a key, and as a number."""
    found = {word.encode("utf-8"), word[::-1].encode("utf-8"), word.translate(_THAI_DIGITS).encode("utf-8")}
    found |= {word.encode(encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-8")}
    with suppress(UnicodeEncodeError):
        found.add(word.encode("cp874"))
    plain = set(found)
    found.add(json.dumps(word).strip('"').encode())
    for content in plain:
        found |= {content.hex().encode(), content.hex().upper().encode()}
        found |= set(_in_base64(content))
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, word.encode(), usedforsecurity=False)
        found |= {digest.digest(), digest.hexdigest().encode(), digest.hexdigest().upper().encode()}
    if re.fullmatch(r"[1-9][0-9]{12}", word):
        found |= {int(word).to_bytes(8, order) for order in ("little", "big")}
        groups = (word[:1], word[1:5], word[5:10], word[10:12], word[12:])
        found |= {separator.join(groups).encode() for separator in ("-", " ")}
    return found


def _in_base64(content: bytes) -> Iterator[bytes]:
    """What of it shows in base64 whatever stands before and after it: three ways to lie in groups of three."""
    for before in range(3):
        coded = base64.b64encode(bytes(before) + content)
        first, last = -(-before * 8 // 6), (before + len(content)) * 8 // 6
        yield coded[first:last]
        yield coded[first:last].replace(b"+", b"-").replace(b"/", b"_")


def found_in(contents: Mapping[str, bytes] | Iterator[tuple[str, bytes]], words: Mapping[str, str]) -> set[str]:
    """`<place>: <label>` of each word that is found."""
    wanted = {label: forms(word) for label, word in words.items()}
    places = contents.items() if isinstance(contents, Mapping) else contents
    return {
        f"{place}: {label}"
        for place, content in places
        for label, shapes in wanted.items()
        if any(shape in content for shape in shapes)
    }


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every name and every file below a folder: its bytes, and what they become when they are unpacked."""
    for path in sorted(folder.rglob("*")):
        yield f"name of {path}", str(path.relative_to(folder)).encode()
        if path.is_file():
            content = path.read_bytes()
            yield str(path), content
            for how, inside in unpacked(content):
                yield f"{path} ({how})", inside
            if content[_DUCKDB_AT:].startswith(b"DUCK"):
                yield from ((f"{path} (values)", values) for values in _values_of_database(path))


def unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Pages and members: whatever begins like zstd (pages of Parquet), gzip or zip; and the values of Parquet."""
    for match in re.finditer(re.escape(_ZSTD), content):
        with suppress(OSError):
            yield f"zstd at {match.start()}", _inflated_zstd(content[match.start() :])
    for match in re.finditer(re.escape(_GZIP), content):
        with suppress(zlib.error):
            yield f"gzip at {match.start()}", zlib.decompressobj(31).decompress(content[match.start() :])
    if _ZIP in content:
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield f"member {name}", archive.read(name)
    if content.startswith(_PARQUET):
        with suppress(pl.exceptions.PolarsError):
            yield "values", _text(pl.read_parquet(io.BytesIO(content)))


def _inflated_zstd(content: bytes) -> bytes:
    """The first frame; what follows it is something else."""
    stream = pa.CompressedInputStream(pa.BufferReader(content), "zstd")
    pieces = []
    with suppress(OSError):
        while piece := stream.read(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def _values_of_database(path: Path) -> Iterator[bytes]:
    """Of every table, if it opens without a key."""
    with suppress(duckdb.Error), duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        for schema, table in tables:
            yield _text(connection.execute(f'from "{schema}"."{table}"').pl())


def _text(frame: pl.DataFrame) -> bytes:
    shown = [pl.col(name).cast(pl.String, strict=False) for name, dtype in frame.schema.items() if dtype != pl.Binary]
    binary = [pl.col(name).bin.encode("hex") for name, dtype in frame.schema.items() if dtype == pl.Binary]
    return frame.select(*shown, *binary).write_csv().encode()


def planted_files(folder: Path, word: str) -> list[Path]:
    """Files of each kind that a run leaves, with the word in each, for the proof that it would be found there."""
    folder.mkdir(parents=True)
    frame = pl.DataFrame({"a": [word, "x"] * 300, "b": range(600)})
    made = []
    for compression in ("zstd", "snappy", "gzip", "lz4", "uncompressed"):
        made.append(folder / f"{compression}.parquet")
        frame.write_parquet(made[-1], compression=compression)  # type: ignore[arg-type]
    text = {
        "plain.jsonl": f'{{"message": "of {word}"}}',
        "escaped.json": json.dumps({"message": word}),
        "base64.txt": base64.b64encode(f"ab{word}cd".encode()).decode(),
        "hex.txt": f"x{word.encode().hex()}",
        "hashed.txt": hashlib.sha256(word.encode()).hexdigest(),
        f"named {word}": "",
    }
    for name, content in text.items():
        made.append(folder / name)
        made[-1].write_text(content, encoding="utf-8")
    for encoding in ("cp874", "utf-16-le"):
        made.append(folder / encoding)
        made[-1].write_bytes(f"a|{word}|b".encode(encoding))
    made.append(folder / "log.1.gz")
    made[-1].write_bytes(b"ab" + gzip.compress(word.encode()))
    made.append(folder / "inner.zip")
    with zipfile.ZipFile(made[-1], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", word * 3)
    made.append(folder / "checkpointed.duckdb")
    with duckdb.connect(str(made[-1])) as connection:
        connection.execute("create table t as select * from frame")
        connection.execute("checkpoint")
    return made
