"""Everything that a zip or a text can do to its reader, each with what it must leave behind."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.ingestion.odd_zips import (
    Raw,
    Repeated,
    cells,
    deflated,
    edition,
    good_members,
    make_zip,
    raw_bytes,
    raw_zip,
    row,
    text,
    visits,
    with_encrypted_flag,
    with_flipped_bit,
    with_shared_bytes,
    zip_of_infos,
)

MIB = 1 << 20
GOOD = visits(2).encode()
ENCRYPTED, STRONG, NAME_IN_UTF_8 = 0x1, 0x40, 0x800
DEFLATE64, ZSTANDARD, AES = 9, 93, 99


@dataclass(frozen=True)
class Fixture:
    """A delivery, and its receipt: the rule it is rejected by as a whole, or its rows landed, and rejected by rule."""

    name: str
    make: Callable[[Path], object]
    rule: str | None = None
    landed: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _raw(*members: Raw, **options: object) -> Callable[[Path], object]:
    return lambda path: raw_zip(path, *members, **options)


def _members(**contents: str | bytes) -> Callable[[Path], object]:
    return lambda path: make_zip(path, {f"{name}.txt": content for name, content in contents.items()})


def _beside_good(name: str) -> Callable[[Path], object]:
    return lambda path: make_zip(path, {**good_members(), name: text("CARD")})


def _stored(file: str, content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: make_zip(path, {f"{file}.txt": content()}, zipfile.ZIP_STORED)


def service(content: bytes = GOOD, **fields: object) -> Raw:
    return Raw(b"SERVICE.txt", content, **fields)


def person() -> Raw:
    return Raw(b"PERSON.txt", text("PERSON").encode())


def _cut(path: Path) -> None:
    make_zip(path)
    path.write_bytes(path.read_bytes()[:-40])


def _special(kind: int) -> Callable[[Path], object]:
    return _raw(service(b"/etc/passwd", attributes=(kind | 0o777) << 16))


def _same_name_twice(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zip_of_infos(path, [(zipfile.ZipInfo("SERVICE.txt"), visits(n).encode()) for n in (1, 2)])


def _flipped(method: int) -> Callable[[Path], object]:
    return lambda path: with_flipped_bit(make_zip(path, {"SERVICE.txt": visits(200)}, method), "SERVICE.txt")


def _nested(path: Path) -> None:
    inner = make_zip(path.with_suffix(".inner"))
    make_zip(path, {"SERVICE.txt": inner.read_bytes()})
    inner.unlink()


def _zip_of_a_zip(path: Path) -> None:
    inner = make_zip(path.with_suffix(".inner"))
    make_zip(path, {"F43_90101_20240601120000.zip": inner.read_bytes()})
    inner.unlink()


def _overlap_bomb(path: Path) -> None:
    """Every entry of the directory is the one kernel of 4 MB, under another of the standard's names."""
    kernel = b"HOSPCODE" + b"\n" * (4 * MIB)
    files = (b"PERSON", b"CARD", b"DEATH", b"HOME", b"CHRONIC", b"LABFU", b"NCDSCREEN", b"ADDRESS")
    size = len(deflated(kernel))
    copies = (Raw(b"%s.txt" % file, kernel, packed=b"", packed_size=size, offset=0) for file in files)
    raw_zip(path, service(kernel), *copies)


def _quoted_overlap(path: Path) -> None:
    """The first member's data are the second member, header and all."""
    inner = raw_zip(path, person()).read_bytes()
    size = inner.index(b"PK\x01\x02")
    outer = service(packed=b"", packed_size=size, method=zipfile.ZIP_STORED, size=size)
    raw_zip(path, outer, person())


def _moved(path: Path) -> None:
    """The second member is not where the directory says."""
    raw_zip(path, person(), service())
    before, mark, after = path.read_bytes().rpartition(b"PK\x03\x04")
    path.write_bytes(before + b"XX" + mark[2:] + after)


def _hidden_first_member(path: Path) -> None:
    """A member that the directory does not list, for readers that go from the front."""
    hidden = raw_zip(path, Raw(b"SERVICE.txt", b"hidden")).read_bytes()
    raw_zip(path, person(), prefix=hidden[: hidden.index(b"PK\x01\x02")])


def _listed(at: int, told: bytes, member: Raw) -> Callable[[Path], object]:
    """The bytes from `at` on of what the directory says of a member are others."""

    def make(path: Path) -> None:
        content = bytearray(raw_bytes(member))
        begin = content.rindex(b"PK\x01\x02") + at
        content[begin : begin + len(told)] = told
        path.write_bytes(content)

    return make


def _sizes_64(*sizes: int) -> bytes:
    return struct.pack(f"<2H{len(sizes)}Q", 1, 8 * len(sizes), *sizes)


def _lzma(window: int = 1 << 16, properties: int = 0x5D) -> Raw:
    packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}])
    header = b"\x09\x04\x05\0" + bytes([properties]) + window.to_bytes(4, "little")
    return service(packed=header + packer.compress(GOOD) + packer.flush(), method=zipfile.ZIP_LZMA, flags=2)


def _zeros(method: int) -> Callable[[Path], object]:
    return lambda path: make_zip(path, {"SERVICE.txt": b"HOSPCODE\n" + b"0" * (16 * MIB)}, method)


def _noise(n: int) -> bytes:
    """Letters that pack badly, so that no limit of the ratio is met."""
    return random.Random(43).randbytes(n // 2).hex().encode()  # noqa: S311


def _sparse(path: Path) -> None:
    raw_zip(path, service())
    with path.open("r+b") as handle:
        handle.truncate(201 * MIB)


def _gigabytes(*mebibytes: int) -> Callable[[Path], object]:
    """Members of so many MiB each, packed a hundredfold."""
    noise = _noise(8192)
    piece = noise + b"\n" * (MIB - len(noise))
    files = (b"SERVICE.txt", b"PERSON.txt", b"CARD.txt")[: len(mebibytes)]
    return lambda path: raw_zip(path, *(Raw(f, Repeated(piece, n)) for f, n in zip(files, mebibytes, strict=True)))


def _long_member(mebibytes: int) -> tuple[Callable[[Path], object], int]:
    """One member of good visits, and the number of its rows."""
    order = edition("SERVICE")
    values = (row("SERVICE", SEQ=f"S{n}", PID=str(n), DATE_SERV=f"202405{n % 28 + 1:02d}") for n in range(5000))
    piece = "".join(cells(one, order) + "\n" for one in values).encode()
    visits_again = Repeated(piece, mebibytes * MIB // len(piece), head="|".join(order).encode() + b"\n")
    return _raw(service(visits_again)), visits_again.times * 5000


def _with_line(line: str) -> str:
    """A good visit, the line, and another good visit."""
    header, first, second = visits(2).splitlines()
    return "\n".join([header, first, line, second, ""])


_CLAIMS = 1 << 30
_MANY_ROWS, _N_MANY_ROWS = _long_member(200)

FRAMES = [
    Fixture("not a zip", _bytes(b"this is no zip" * 100), "unreadable_zip"),
    Fixture("zero bytes", _bytes(b""), "unreadable_zip"),
    Fixture("no members", lambda path: make_zip(path, {}), "unreadable_zip"),
    Fixture("a signature alone", _bytes(b"PK\x03\x04"), "unreadable_zip"),
    Fixture("an end cut short", _bytes(b"PK\x03\x04" + b"PK\x05\x06" + b"\0" * 10), "unreadable_zip"),
    Fixture("cut off", _cut, "unreadable_zip"),
    Fixture("bytes after the end", _raw(service(), suffix=b"trailing"), "unreadable_zip"),
    Fixture("a program before it", _raw(service(), prefix=b"MZ\x90\0" * 64), "unreadable_zip"),
    Fixture("a hidden member before it", _hidden_first_member, "inconsistent_zip"),
    Fixture("one of several disks", _raw(service(), disk=1), "split_zip"),
    Fixture("a directory on another disk", _raw(service(), directory_disk=1), "split_zip"),
    Fixture("fewer entries here", _raw(service(), here=0), "split_zip"),
    Fixture("a spanned part", _raw(service(), prefix=b"PK\x07\x08"), "split_zip"),
    Fixture("a zip64 of two disks", _raw(service(), zip64={"disks": 2}), "split_zip"),
    Fixture("too many bytes", _sparse, "zip_too_large"),
    Fixture("129 members", _raw(*(Raw(b"%d.txt" % n) for n in range(129))), "too_many_members"),
    Fixture("a million entries", _raw(service(), directory_times=10**6, zip64={}), "too_many_members"),
    Fixture(
        "a million entries told to be one",
        _raw(service(), directory_times=10**6, zip64={"here": 1, "entries": 1}),
        "directory_too_large",
    ),
    Fixture("three entries told to be one", _raw(service(), directory_times=3, here=1, entries=1), "inconsistent_zip"),
    Fixture("one entry told to be three", _raw(service(), here=3, entries=3), "inconsistent_zip"),
    Fixture("a directory told to be elsewhere", _raw(service(), offset=7), "inconsistent_zip"),
    Fixture("a directory told to be longer", _raw(service(), size=200), "inconsistent_zip"),
    Fixture("a zip64 of another number", _raw(service(), zip64={}, here=2, entries=2), "inconsistent_zip"),
    Fixture("a zip64 that lies elsewhere", _raw(service(), zip64={"at": 3}), "inconsistent_zip"),
    Fixture("a zip64 of a directory elsewhere", _raw(service(), zip64={"offset": 7}), "inconsistent_zip"),
    Fixture("sizes left to a zip64 that is not there", _raw(service(), offset=0xFFFFFFFF), "inconsistent_zip"),
    Fixture("a zip64", _raw(service(), zip64={}), landed=2),
    Fixture("an entry that is none", _listed(0, b"PK\1\3", service()), "unreadable_zip"),
    Fixture("an entry longer than the directory", _listed(28, b"\xff\xff", service()), "unreadable_zip"),
    Fixture("half an entry at the end", _listed(30, b"\0\0", service(extra=b"\0" * 20)), "unreadable_zip"),
    Fixture("an entry of a version to come", _listed(6, b"\x40\0", service()), "unreadable_zip"),
    Fixture("an extra field that goes on", _raw(service(extra=b"UT\xff\0")), "unreadable_zip"),
    Fixture("a zip64 field without its sizes", _raw(service(size=0xFFFFFFFF, extra=b"\1\0\0\0")), "unreadable_zip"),
    Fixture(
        "sizes in a zip64 field",
        _raw(service(size=0xFFFFFFFF, packed_size=0xFFFFFFFF, extra=_sizes_64(len(GOOD), len(deflated(GOOD))))),
        landed=2,
    ),
    Fixture("an extra field of no concern", _raw(service(extra=b"UT\1\0x")), landed=2),
]

NAMES = [
    Fixture("a way out", _beside_good("../../CARD.txt"), "unsafe_member_name"),
    Fixture("a way out with backslashes", _raw(service(), Raw(b"x\\..\\..\\CARD.txt")), "unsafe_member_name"),
    Fixture("an absolute name", _beside_good("/etc/CARD.txt"), "unsafe_member_name"),
    Fixture("a drive", _beside_good("C:\\CARD.txt"), "unsafe_member_name"),
    Fixture("no name", _raw(service(), Raw(b"")), "unsafe_member_name"),
    Fixture("NUL in a name", _raw(Raw(b"SERVICE.txt\0.exe", GOOD)), "unsafe_member_name"),
    Fixture("a line break in a name", _raw(Raw(b"a\nSERVICE.txt", GOOD)), "unsafe_member_name"),
    Fixture("a name of 300 letters", _beside_good("x" * 300 + "CARD.txt"), "member_name_too_long"),
    Fixture("a name of 60,000 letters", _beside_good("x" * 60_000), "member_name_too_long"),
    Fixture("the same file twice", _raw(service(), Raw(b"SERVICE_2.txt", GOOD)), "duplicate_member"),
    Fixture("the same name in capitals", _raw(service(), Raw(b"service.TXT", GOOD)), "duplicate_member"),
    Fixture("the same name twice", _same_name_twice, "duplicate_member"),
    Fixture("nothing known", _raw(Raw(b"OFFICE.txt"), Raw(b"letter.txt")), "no_known_member"),
    Fixture("a name in another code page", _raw(Raw(b"\x82t\x82\xff/SERVICE.txt", GOOD)), landed=2),
    Fixture(
        "a name that is not the UTF-8 it says", _raw(Raw(b"\xff/SERVICE.txt", GOOD, flags=0x800)), "unreadable_zip"
    ),
]

MEMBERS = [
    Fixture("a link", _special(stat.S_IFLNK), "link_member"),
    Fixture("a pipe", _special(stat.S_IFIFO), "link_member"),
    Fixture("a device", _special(stat.S_IFBLK), "link_member"),
    Fixture("encrypted", lambda path: with_encrypted_flag(make_zip(path)), "encrypted_member"),
    Fixture("encrypted strongly", _raw(service(flags=STRONG)), "encrypted_member"),
    Fixture("encrypted by AES", _raw(service(method=AES)), "encrypted_member"),
    Fixture("encrypted by its own header alone", _raw(service(local={"flags": ENCRYPTED})), "inconsistent_zip"),
    Fixture(
        "a name in two encodings",
        _raw(service(), Raw("แฟ้ม".encode("cp874"), GOOD, local={"flags": NAME_IN_UTF_8})),
        "inconsistent_zip",
    ),
    Fixture("another name in its own header", _raw(service(local={"name": b"PERSON.txtX"})), "inconsistent_zip"),
    Fixture("another method in its own header", _raw(service(local={"method": 0})), "inconsistent_zip"),
    Fixture("another size in its own header", _raw(service(local={"size": 7})), "inconsistent_zip"),
    Fixture("another packed size in its own header", _raw(service(local={"packed_size": 7})), "inconsistent_zip"),
    Fixture("another checksum in its own header", _raw(service(local={"crc": 7})), "inconsistent_zip"),
    Fixture("not where the directory says", _moved, "inconsistent_zip"),
    Fixture("sizes after the data", _raw(service(flags=8, local={"crc": 0, "size": 0, "packed_size": 0})), landed=2),
    Fixture("two entries of one member", lambda path: with_shared_bytes(make_zip(path)), "overlapping_members"),
    Fixture("a bomb of overlaps", _overlap_bomb, "overlapping_members"),
    Fixture("a member within a member", _quoted_overlap, "overlapping_members"),
    Fixture(
        "a member over the directory",
        _raw(person(), service(method=0, packed_size=len(GOOD) + 30, size=len(GOOD) + 30)),
        "overlapping_members",
    ),
    Fixture("a member beyond the end", _raw(service(packed_size=MIB)), "overlapping_members"),
    Fixture("a zip as a member", _nested, "nested_archive"),
    Fixture("a zip in a zip", _zip_of_a_zip, "nested_archive"),
    Fixture("gzip as a member", _members(SERVICE=gzip.compress(GOOD)), "nested_archive"),
    Fixture("deflate64", _raw(service(method=DEFLATE64)), "unsupported_compression"),
    Fixture("a patch", _raw(service(flags=0x20)), "unsupported_compression"),
    Fixture("zstandard", _raw(service(method=ZSTANDARD)), "unsupported_compression"),
    Fixture("LZMA with a window of 4 GB", _raw(_lzma(window=0xFFFFFFFF)), "unsupported_compression"),
    Fixture("LZMA", _raw(_lzma()), landed=2),
    Fixture("LZMA with no such properties", _raw(_lzma(properties=0xFF)), "corrupt_member"),
    Fixture("LZMA that ends in its header", _raw(service(packed=b"\x09\x04\5\0", method=14)), "corrupt_member"),
    Fixture("an unread member of any method", _raw(service(), Raw(b"readme", b"x", method=ZSTANDARD)), landed=2),
    Fixture("a bit flipped", _flipped(zipfile.ZIP_DEFLATED), "corrupt_member"),
    Fixture("a bit flipped, stored", _flipped(zipfile.ZIP_STORED), "corrupt_member"),
    Fixture("a bit flipped, bzip2", _flipped(zipfile.ZIP_BZIP2), "corrupt_member"),
    Fixture("a bit flipped, LZMA", _flipped(zipfile.ZIP_LZMA), "corrupt_member"),
    Fixture("another checksum", _raw(service(crc=7)), "corrupt_member"),
    Fixture("data cut off", _raw(service(packed=deflated(GOOD)[:-9])), "corrupt_member"),
    Fixture("bzip2 cut off", _raw(service(packed=bz2.compress(GOOD)[:-9], method=12)), "corrupt_member"),
    Fixture("data that go on", _raw(service(packed=deflated(GOOD) + b"more")), "corrupt_member"),
    Fixture("less declared than held", _raw(service(size=len(GOOD) - 9)), "wrong_declared_size"),
    Fixture("more declared than held", _raw(service(size=len(GOOD) + 9)), "wrong_declared_size"),
    Fixture("nothing declared, stored", _raw(service(size=0, method=0)), "wrong_declared_size"),
    Fixture("a gigabyte declared", _raw(service(size=_CLAIMS)), "wrong_declared_size"),
    Fixture(
        "a gigabyte declared of each",
        _raw(*(Raw(name, GOOD, size=_CLAIMS) for name in (b"SERVICE.txt", b"PERSON.txt", b"CARD.txt"))),
        "wrong_declared_size",
    ),
    Fixture("a bomb", _zeros(zipfile.ZIP_DEFLATED), "ratio_too_high"),
    Fixture("a bomb in bzip2", _zeros(zipfile.ZIP_BZIP2), "ratio_too_high"),
    Fixture("a bomb in LZMA", _zeros(zipfile.ZIP_LZMA), "ratio_too_high"),
    Fixture("a bomb that declares little", _raw(service(Repeated(b"0" * MIB, 64), size=999)), "wrong_declared_size"),
    Fixture("a member of 1.1 GB", _gigabytes(1100), "member_too_large"),
    Fixture("three members of 0.7 GB", _gigabytes(700, 700, 700), "delivery_too_large"),
]

TEXTS = [
    Fixture("200 MB of good visits", _MANY_ROWS, landed=_N_MANY_ROWS),
    Fixture(
        "a field of 50 MB",
        _stored("SERVICE", lambda: _with_line("90101|" + _noise(50_000_000).decode()).encode()),
        landed=2,
        rejected={"line_too_long": 1},
    ),
    Fixture(
        "a field of 50 MB without an end",
        _stored("SERVICE", lambda: GOOD + _noise(50_000_000)),
        landed=2,
        rejected={"line_too_long": 1},
    ),
    Fixture(
        "a header of 100,000 columns",
        _members(SERVICE="HOSPCODE|" + "|".join(f"C{n}" for n in range(99_999)) + "\n" + "90101|x\n" * 3),
        rejected={"too_many_columns": 3},
    ),
    Fixture(
        "100,000 columns and no header",
        _members(SERVICE=("90101" + "|" * 99_999 + "\n") * 3),
        rejected={"too_many_columns": 3},
    ),
    Fixture(
        "a row of 100,000 cells", _members(SERVICE=_with_line("|" * 99_999)), landed=2, rejected={"wrong_columns": 1}
    ),
    Fixture("8 MB of empty lines", _stored("SERVICE", lambda: GOOD + b"\n" * (8 * MIB)), landed=2),
    Fixture(
        "8 MB of pipes", _stored("SERVICE", lambda: GOOD + b"|" * (8 * MIB)), landed=2, rejected={"line_too_long": 1}
    ),
    Fixture(
        "a million lines of one letter",
        _stored("SERVICE", lambda: GOOD + b"a\n" * 10**6),
        landed=2,
        rejected={"wrong_columns": 10**6},
    ),
    Fixture(
        "400,000 rows of two cells",
        _stored("PERSON", lambda: b"HOSPCODE|PID\n" + b"90101|1\n" * 400_000),
        landed=400_000,
    ),
    Fixture("8 MB of lone CR", _stored("SERVICE", lambda: GOOD.replace(b"\r\n", b"\r") + b"\r" * (8 * MIB)), landed=2),
    Fixture("UTF-16 with a mark", _members(SERVICE=GOOD.decode().encode("utf-16")), landed=2),
    Fixture("UTF-16 without a mark", _members(SERVICE=GOOD.decode().encode("utf-16-be")), landed=2),
    Fixture(
        "UTF-16 that ends in half a letter",
        _members(SERVICE=GOOD.decode().encode("utf-16")[:-3]),
        landed=1,
        rejected={"undecodable": 1},
    ),
    Fixture("NUL in a row", _members(SERVICE=_with_line("90101|\0")), landed=2, rejected={"wrong_columns": 1}),
    Fixture("nothing but NUL", _members(SERVICE=b"\0" * MIB), rejected={"unknown_layout": 1}),
    Fixture(
        "an encoding of nobody", _members(SERVICE=GOOD + b"90101|\xff\xfe\n"), landed=2, rejected={"undecodable": 1}
    ),
    Fixture("zero rows", _members(SERVICE="|".join(edition("SERVICE")) + "\r\n"), landed=0),
    Fixture("zero bytes in a member", _members(SERVICE=""), landed=0),
]

CATALOGUE = [*FRAMES, *NAMES, *MEMBERS, *TEXTS]
