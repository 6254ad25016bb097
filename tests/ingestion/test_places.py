"""Where deliveries lie: the same landing from a folder, an SFTP and an S3 server, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from identity.sealing import SealKey
from ingestion.fetched import Fetched
from ingestion.inbox import receiving, store, sweep
from ingestion.job import Report, ingest, take_in
from ingestion.places import ChangedError, Found, look, place_of
from ruam.errors import UsageError
from ruam.home import DataHome
from ruam.settings import PROJECT, NetworkLimits, Settings
from tests.ingestion.odd_zips import make_zip, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, batches, records
from tests.ingestion.servers import ACCESS_KEY, SECRET, Line, S3Server, SshServer, as_an_ordinary_user
from tests.ingestion.test_job import landed_rows, three_days

pytestmark = pytest.mark.slow

Command = Callable[..., int]
LineTo = Callable[[int], Line]
KINDS = ("folder", "sftp", "s3")
NETWORKS = ("sftp", "s3")
MEBIBYTE = 1 << 20
KEY = SealKey("inbox", bytes(range(32)))


@dataclass
class Sender:
    """A sender's place that `settings` can read, and how the sender writes into it."""

    address: str
    put: Callable[[str, bytes], object]
    settings: Settings
    line: Line | None = None
    """What the place is reached through, where it is reached through a network."""

    def look(self) -> list[Found]:
        seen = look([place_of(self.address, self.settings)])
        assert not seen.not_taken
        return seen.found

    def ingest(self) -> Report:
        return ingest(self.settings, [self.address])


def write(path: Path, content: bytes) -> None:
    """Write a file whose time lies in the past, as that of a file which is not being written does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before = path.stat().st_mtime - 60
    os.utime(path, (before, before))


@pytest.fixture
def sender_at(
    request: pytest.FixtureRequest,
    settings: Settings,
    tmp_path: Path,
    user_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    line_to: LineTo,
) -> Callable[[str], Sender]:
    def make(kind: str) -> Sender:
        quick = settings.model_copy(update={"network": NetworkLimits(backoff_seconds=0, timeout_seconds=20)})
        folder = tmp_path / "sender"
        folder.mkdir(exist_ok=True)
        if kind == "folder":
            return Sender(str(folder), lambda name, content: write(folder / name, content), quick)
        if kind == "sftp":
            ssh: SshServer = request.getfixturevalue("ssh")
            line = line_to(ssh.port)
            ssh.trust(user_home, line.port)
            address = ssh.address(folder, line.port)
            return Sender(address, lambda name, content: write(folder / name, content), quick, line)
        s3: S3Server = request.getfixturevalue("s3")
        line = line_to(s3.port)
        for name, value in (s3.environment | {"RUAM_S3_ENDPOINT": f"http://127.0.0.1:{line.port}"}).items():
            monkeypatch.setenv(name, value)
        prefix = f"open/{tmp_path.name}"
        return Sender(
            f"s3://drop/{prefix}",
            lambda name, content: s3.put(f"{prefix}/{name}", content),
            quick.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{line.port}"}),
            line,
        )

    return make


@pytest.fixture(params=KINDS)
def sender(request: pytest.FixtureRequest, sender_at: Callable[[str], Sender]) -> Sender:
    return sender_at(request.param)


@pytest.fixture(params=NETWORKS)
def far_sender(request: pytest.FixtureRequest, sender_at: Callable[[str], Sender]) -> Sender:
    return sender_at(request.param)


def big_zip(path: Path, n_bytes: int = 4 * MEBIBYTE) -> bytes:
    """A good delivery with a member that ingestion leaves alone and no compression makes smaller."""
    content = make_zip(path, {"SERVICE.txt": visits(2), "photo.jpg": os.urandom(n_bytes)}).read_bytes()
    path.unlink()
    return content


def inbox_files(home: DataHome) -> list[str]:
    """Names of the deliveries in the inbox, whole or half copied."""
    return sorted(path.name for name in ("*/*.sealed", ".incoming-*") for path in home.inbox.glob(name))


def line_of(sender: Sender) -> Line:
    assert sender.line is not None
    return sender.line


def test_the_landing_is_the_same_from_every_kind_of_place(sender: Sender, tmp_path: Path) -> None:
    local = sender.settings.model_copy(update={"home": tmp_path / "other"})
    subprocess.run(["cp", "-r", str(sender.settings.home), str(local.home)], check=True)  # noqa: S603, S607
    for path in three_days(tmp_path / "made"):
        sender.put(f"day {path.name[10:18]}/{path.name}", path.read_bytes())
    sender.put("notes.txt", b"not a delivery")
    sender.put("F43_90101_20240609000000.zip.part", b"not yet one")
    report = sender.ingest()
    ingest(local, [tmp_path / "made"])
    assert landed_rows(sender.settings) == landed_rows(local) != set()
    columns = ("delivery_id", "file_name", "hospcode", "sent_at", "outcome", "reason", "n_rows", "n_bytes")
    receipts = [set(records(one, "receipts").select(columns).rows()) for one in (sender.settings, local)]
    assert receipts[0] == receipts[1]
    assert len(report.outcomes) == 6
    assert not report.not_taken
    assert_balanced(sender.settings)


def test_nothing_changes_where_the_sender_keeps_it(sender_at: Callable[[str], Sender], tmp_path: Path) -> None:
    sender = sender_at("folder")
    sender.put("a/" + zip_name(), make_zip(tmp_path / "made.zip").read_bytes())

    def state() -> list[tuple[str, int, float, bytes]]:
        files = [path for path in (tmp_path / "sender").rglob("*") if path.is_file()]
        return [(str(path), path.stat().st_mode, path.stat().st_mtime, path.read_bytes()) for path in files]

    before = state()
    sender.ingest()
    assert state() == before


@pytest.mark.parametrize("kind", NETWORKS)
def test_one_file_can_be_named_alone(sender_at: Callable[[str], Sender], tmp_path: Path, kind: str) -> None:
    sender = sender_at(kind)
    for sent_at in ("20240601000000", "20240602000000"):
        sender.put(zip_name(sent_at=sent_at), make_zip(tmp_path / "made.zip").read_bytes())
    sender.address += "/" + zip_name(sent_at="20240602000000")
    assert [one.name for one in sender.look()] == [zip_name(sent_at="20240602000000")]


def test_folders_are_searched_whatever_the_case_of_zip_and_each_file_is_found_once(
    sender_at: Callable[[str], Sender],
) -> None:
    sender = sender_at("folder")
    for name in ("b/F43_1.ZIP", "a/deep/F43_2.zip", "a/notes.txt", "a/.in.F43_3.zip", "F43_4.zip.filepart"):
        sender.put(name, b"")
    (Path(sender.address) / "F43_5.zip").symlink_to(Path(sender.address) / "b/F43_1.ZIP")
    places = [place_of(path, sender.settings) for path in (sender.address, sender.address + "/a")]
    assert [one.name for one in look(places).found] == ["F43_1.ZIP", "F43_2.zip", "F43_5.zip"]


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_a_link_to_a_folder_elsewhere_is_told_and_one_to_nothing_is_of_no_interest(
    sender_at: Callable[[str], Sender], tmp_path: Path, kind: str
) -> None:
    sender = sender_at(kind)
    sender.put("day/F43_1.zip", b"")
    make_zip(tmp_path / "elsewhere" / "F43_2.zip")
    (tmp_path / "sender" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "sender" / "nothing").symlink_to(tmp_path / "nowhere")
    seen = look([place_of(sender.address, sender.settings)])
    assert [one.name for one in seen.found] == ["F43_1.zip"]
    assert [(one.address.rpartition("/")[2], one.outcome) for one in seen.not_taken] == [("linked", "not_fetched")]
    assert "link to a folder" in seen.not_taken[0].detail


def test_a_link_to_a_folder_that_is_searched_anyway_is_no_matter(sender_at: Callable[[str], Sender]) -> None:
    sender = sender_at("folder")
    sender.put("2024-06/F43_1.zip", b"")
    (Path(sender.address) / "latest").symlink_to(Path(sender.address) / "2024-06")
    assert [one.name for one in sender.look()] == ["F43_1.zip"]


def test_names_with_thai_letters_and_blanks_are_kept(sender: Sender, tmp_path: Path) -> None:
    name = "รพ.สมมติ ส่งข้อมูล #1 100%25_F43_90101_20240601120000.zip"
    sender.put(f"เขต 1/{name}", make_zip(tmp_path / "made.zip").read_bytes())
    (outcome,) = sender.ingest().outcomes
    assert (outcome.outcome, outcome.file_name, outcome.hospcode) == ("accepted", name, "90101")
    assert records(sender.settings, "receipts")["file_name"].to_list() == [name]


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_a_name_in_cp874_is_read_as_such(sender_at: Callable[[str], Sender], tmp_path: Path, kind: str) -> None:
    sender = sender_at(kind)
    name = "โรงพยาบาล_F43_90101_20240601120000.zip"
    sender.put(os.fsdecode(name.encode("cp874")), make_zip(tmp_path / "made.zip").read_bytes())
    assert [one.file_name for one in sender.ingest().outcomes] == [name]
    assert records(sender.settings, "receipts")["file_name"].to_list() == [name]
    assert sender.ingest().count("duplicate") == 1


def test_what_did_not_change_is_not_fetched_again(far_sender: Sender, tmp_path: Path) -> None:
    content = big_zip(tmp_path / "made.zip")
    far_sender.put(zip_name(), content)
    far_sender.ingest()
    line, landed = line_of(far_sender), batches(far_sender.settings)
    assert line.n_received > len(content)
    line.n_received = 0
    assert far_sender.ingest().count("duplicate") == 1
    assert 0 < line.n_received < MEBIBYTE / 4
    far_sender.put(zip_name(), big_zip(tmp_path / "made.zip"))
    assert far_sender.ingest().count("accepted") == 1
    assert line.n_received > len(content)
    assert len(batches(far_sender.settings)) == len(landed) + 1


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no index" * 100)])
def test_an_index_that_is_lost_costs_only_time(
    sender_at: Callable[[str], Sender], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    sender = sender_at("sftp")
    content = big_zip(tmp_path / "made.zip")
    sender.put(zip_name(), content)
    sender.ingest()
    landed, line = batches(sender.settings), line_of(sender)
    damage(sender.settings.data_home.inbox / "fetched.sqlite")
    for expected in (len(content), 0):
        line.n_received = 0
        assert sender.ingest().count("duplicate") == 1
        assert (line.n_received > len(content)) == (expected > 0)
    assert batches(sender.settings) == landed


def test_a_delivery_that_left_the_inbox_is_fetched_again(sender: Sender, tmp_path: Path) -> None:
    sender.put(zip_name(), make_zip(tmp_path / "made.zip").read_bytes())
    sender.ingest()
    (stored,) = sender.settings.data_home.inbox.rglob("*.sealed")
    stored.unlink()
    sender.ingest()
    assert stored.exists()


def test_what_was_changed_a_moment_ago_is_not_trusted_to_stay(sender_at: Callable[[str], Sender]) -> None:
    sender = sender_at("folder")
    path = Path(sender.address) / zip_name()
    path.write_bytes(b"x")
    (found,) = sender.look()
    with Fetched(sender.settings.data_home.inbox) as fetched:
        delivery_id = store(sender.settings.data_home.inbox, KEY, found.pieces()).delivery_id
        fetched.add([(found, delivery_id)])
        assert fetched.delivery_id(found) is None
        os.utime(path, (1, 1))
        (found,) = sender.look()
        fetched.add([(found, delivery_id)])
        assert fetched.delivery_id(found) == delivery_id


def test_a_connection_cut_in_mid_file_is_taken_up_where_it_broke(far_sender: Sender, tmp_path: Path) -> None:
    content = big_zip(tmp_path / "made.zip", 6 * MEBIBYTE)
    far_sender.put(zip_name(), content)
    line = line_of(far_sender)
    line.cut_after = 2 * MEBIBYTE
    report = far_sender.ingest()
    assert line.n_cuts == 1
    assert [one.outcome for one in report.outcomes] == ["accepted"]
    assert records(far_sender.settings, "receipts")["delivery_id"].to_list() == [hashlib.sha256(content).hexdigest()]
    assert len(content) < line.n_received < len(content) + 3 * MEBIBYTE


def test_a_line_that_never_heals_costs_its_own_delivery_alone(
    far_sender: Sender, command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    far_sender.put(zip_name(), big_zip(tmp_path / "made.zip"))
    near = make_zip(tmp_path / "near" / zip_name("90201"), {"SERVICE.txt": visits(3, "90201")})
    line, home = line_of(far_sender), far_sender.settings.data_home
    line.keep_cutting, line.cut_after = True, 2 * MEBIBYTE
    assert command("ingest", far_sender.address, near.parent) == 7
    shown = capfd.readouterr()
    assert "not_fetched: 1" in shown.out
    assert f"{far_sender.address}/{zip_name()}" in "".join(shown.out.split("\n"))
    assert "tried 5 times" in shown.out
    assert "1 of the places and deliveries could not be read" in shown.err
    assert records(far_sender.settings, "receipts")["file_name"].to_list() == [near.name]
    assert inbox_files(home) == [f"{hashlib.sha256(near.read_bytes()).hexdigest()}.sealed"]
    line.keep_cutting, line.cut_after = False, None
    assert command("ingest", far_sender.address, near.parent) == 0
    assert set(records(far_sender.settings, "receipts")["file_name"]) == {near.name, zip_name()}


def test_a_server_that_went_down_is_not_waited_for_with_each_file(far_sender: Sender, tmp_path: Path) -> None:
    content = make_zip(tmp_path / "made.zip").read_bytes()
    names = [zip_name(sent_at=f"202406010000{second:02d}") for second in range(10)]
    for name in names:
        far_sender.put(name, content)
    seen = look([place_of(far_sender.address, far_sender.settings)])
    line = line_of(far_sender)
    line.keep_cutting, line.cut_after = True, 0
    report = take_in(far_sender.settings, seen)
    assert [one.address.rpartition("/")[2] for one in report.left("not_fetched")] == names
    # aiohttp asks once more by itself when a line breaks before the answer; all ten would make fifty.
    assert 6 <= line.n_cuts <= 12
    line.keep_cutting, line.cut_after = False, None
    assert len(far_sender.ingest().outcomes) == 10


def test_a_server_that_says_no_more_is_not_waited_for_for_ever(far_sender: Sender, tmp_path: Path) -> None:
    far_sender.put(zip_name(), big_zip(tmp_path / "made.zip"))
    network = NetworkLimits(timeout_seconds=2, tries=2, backoff_seconds=0)
    hasty = far_sender.settings.model_copy(update={"network": network})
    seen = look([place_of(far_sender.address, hasty)])
    line_of(far_sender).flows.clear()
    began = time.monotonic()
    (left,) = take_in(hasty, seen).not_taken
    assert left.outcome == "not_fetched"
    assert "tried 2 times" in left.detail
    assert time.monotonic() - began < 60
    line_of(far_sender).flows.set()
    assert far_sender.ingest().count("accepted") == 1


def test_a_server_that_is_down_stops_no_other_place(
    far_sender: Sender, command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line_of(far_sender).close()
    make_zip(tmp_path / "near" / zip_name())
    assert command("ingest", far_sender.address, tmp_path / "near") == 7
    shown = capfd.readouterr()
    assert far_sender.address in shown.out
    assert "tried 5 times" in shown.out
    assert records(far_sender.settings, "receipts")["file_name"].to_list() == [zip_name()]


@pytest.mark.parametrize("known", ["", "another"])
def test_a_host_key_that_nobody_vouches_for_is_refused(
    ssh: SshServer,
    command: Command,
    user_home: Path,
    settings: Settings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    known: str,
) -> None:
    ssh.trust(user_home, *([ssh.port] if known else []))
    if known:
        other = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")]
        subprocess.run(other, check=True)  # noqa: S603
        key = " ".join((tmp_path / "other.pub").read_text().split()[:2])
        (user_home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{ssh.port} {key}\n")
    (user_home / ".ssh/config").write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile none\n")
    before = (user_home / ".ssh/known_hosts").read_text()
    make_zip(tmp_path / "sender" / zip_name())
    assert command("ingest", ssh.address(tmp_path / "sender")) == 7
    assert f"ssh-keyscan -p {ssh.port} 127.0.0.1 >> ~/.ssh/known_hosts" in capfd.readouterr().out
    assert (user_home / ".ssh/known_hosts").read_text() == before
    assert records(settings, "receipts").is_empty()


def test_a_user_without_a_key_is_told_so(
    ssh: SshServer, command: Command, user_home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ssh.trust(user_home, ssh.port)
    (user_home / ".ssh/id_ed25519").unlink()
    assert command("ingest", ssh.address(tmp_path)) == 7
    assert "the server takes no key" in capfd.readouterr().out


def test_a_folder_or_bucket_that_is_not_there_is_told(
    sender_at: Callable[[str], Sender], command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("ingest", f"{sender_at('sftp').address}/nowhere") == 7
    assert "no such file or folder" in capfd.readouterr().out
    sender_at("s3")
    assert command("ingest", "s3://another-bucket/x") == 7
    assert "s3://another-bucket/x" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "a-wrong-secret"}, "signature"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "set AWS_ACCESS_KEY_ID"),
    ],
    ids=["wrong", "none"],
)
def test_bad_credentials_are_told_and_never_shown(
    sender_at: Callable[[str], Sender],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, str],
    words: str,
) -> None:
    sender = sender_at("s3")
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert command("ingest", sender.address) == 7
    shown = capfd.readouterr()
    logged = "".join(path.read_text() for path in sender.settings.data_home.logs.iterdir())
    assert words in shown.out
    assert "not_fetched" in logged
    for secret in (SECRET, ACCESS_KEY, "a-wrong-secret"):
        assert secret not in shown.out + shown.err + logged


def test_a_profile_of_the_user_opens_the_bucket(
    sender_at: Callable[[str], Sender], user_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sender_at("s3")
    sender.put(zip_name(), make_zip(tmp_path / "made.zip").read_bytes())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (user_home / ".aws").mkdir()
    profile = f"[ruam]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n"
    (user_home / ".aws/credentials").write_text(profile)
    monkeypatch.setenv("AWS_PROFILE", "ruam")
    assert [one.outcome for one in sender.ingest().outcomes] == ["accepted"]


@pytest.mark.parametrize(
    "address",
    [
        "sftp://user:hunter2@host/drop",
        "sftp://user:hunter2@@host:22/drop",
        "SFTP://:hunter2@host",
        "s3://AKIA:hunter2@bucket/prefix",
        "s3://hunter2@bucket",
        "https://host/bucket?X-Amz-Signature=hunter2",
        "ftp://user:hunter2@host/",
        "sftp://user@ho st:hunter2/x",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(
    command: Command, settings: Settings, capfd: pytest.CaptureFixture[str], address: str
) -> None:
    assert command("ingest", address) == 2
    shown = capfd.readouterr()
    logged = "".join(path.read_text() for path in settings.data_home.logs.iterdir())
    assert "hunter2" not in shown.out + shown.err + logged
    assert shown.err.startswith("ruam:")


@pytest.mark.parametrize("endpoint", ["http://user:hunter2@host", "hunter2", "ftp://hunter2"])
def test_an_endpoint_that_is_none_or_holds_a_password_is_refused(settings: Settings, endpoint: str) -> None:
    with pytest.raises(UsageError, match="RUAM_S3_ENDPOINT") as refused:
        place_of("s3://bucket/x", settings.model_copy(update={"s3_endpoint": endpoint}))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_may_not_be_read_on_sftp_stops_no_other(sender_at: Callable[[str], Sender], tmp_path: Path) -> None:
    sender = sender_at("sftp")
    closed, good = zip_name(sent_at="20240601000000"), zip_name(sent_at="20240602000000")
    for name in (closed, good):
        sender.put(name, make_zip(tmp_path / "made.zip").read_bytes())
    (tmp_path / "sender" / "closed").mkdir(mode=0)
    (tmp_path / "sender" / closed).chmod(0)
    report = sender.ingest()
    assert [one.file_name for one in report.outcomes] == [good]
    assert [(one.address, one.detail) for one in report.left("not_fetched")] == [
        (f"{sender.address}/closed", "Permission denied"),
        (f"{sender.address}/{closed}", "Permission denied"),
    ]


def test_a_file_that_may_not_be_read_on_s3_stops_no_other(
    sender_at: Callable[[str], Sender], s3: S3Server, tmp_path: Path
) -> None:
    sender = sender_at("s3")
    content = make_zip(tmp_path / "made.zip").read_bytes()
    sender.put(zip_name(), content)
    s3.put(f"closed/{tmp_path.name}/{zip_name('90201')}", content)
    report = ingest(sender.settings, [sender.address, f"s3://drop/closed/{tmp_path.name}"])
    assert [one.outcome for one in report.outcomes] == ["accepted"]
    (left,) = report.left("not_fetched")
    assert left.address == f"s3://drop/closed/{tmp_path.name}/{zip_name('90201')}"
    assert "refuses" in left.detail


def run_ruam(settings: Settings, *arguments: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, without root's right to read everything."""
    script = f"{before}\nfrom ruam.cli import main\nmain()"
    return subprocess.run(  # noqa: S603
        as_an_ordinary_user([sys.executable, "-c", script, *map(str, arguments)]),
        cwd=PROJECT,
        env=os.environ | {"RUAM_HOME": str(settings.data_home.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_local_file_that_may_not_be_read_stops_no_other(settings: Settings, tmp_path: Path) -> None:
    closed = make_zip(tmp_path / "in" / zip_name(sent_at="20240601000000"))
    closed.chmod(0)
    make_zip(tmp_path / "in" / zip_name())
    ended = run_ruam(settings, "ingest", tmp_path / "in")
    assert ended.returncode == 7
    assert f"{closed}: Permission denied" in ended.stdout
    assert records(settings, "receipts")["file_name"].to_list() == [zip_name()]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / zip_name()).write_bytes(big_zip(tmp_path / "made.zip"))
    no_room = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({2 * MEBIBYTE}, {2 * MEBIBYTE}))"
    ended = run_ruam(settings, "ingest", tmp_path / "in", before=no_room)
    assert ended.returncode == 74
    assert f"ruam: Taking deliveries in stopped: File too large ({settings.data_home.root}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert inbox_files(settings.data_home) == []
    assert run_ruam(settings, "ingest", tmp_path / "in").returncode == 0


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(sender: Sender, tmp_path: Path) -> None:
    home = sender.settings.data_home
    sender.put(zip_name(), big_zip(tmp_path / "made.zip"))
    (found,) = sender.look()
    pieces = found.pieces()
    first = next(pieces)
    sender.put(zip_name(), big_zip(tmp_path / "made.zip"))

    def rest() -> object:
        yield first
        yield from pieces

    if not sender.address.startswith("s3"):
        os.utime(tmp_path / "sender" / zip_name(), (1, 1))
    with pytest.raises(ChangedError):
        store(home.inbox, KEY, rest())  # type: ignore[arg-type]
    assert inbox_files(home) == []
    assert sender.ingest().count("accepted") == 1


def test_a_file_that_grows_or_goes_while_it_is_read_is_left(sender_at: Callable[[str], Sender], tmp_path: Path) -> None:
    for kind in ("folder", "sftp"):
        sender = sender_at(kind)
        sender.put(zip_name(), big_zip(tmp_path / "made.zip"))
        path = tmp_path / "sender" / zip_name()
        (found,) = sender.look()
        pieces = found.pieces()
        next(pieces)
        with path.open("ab") as handle:
            handle.write(b"more")
        with pytest.raises(ChangedError, match="changed"):
            list(pieces)
        (found,) = sender.look()
        pieces = found.pieces()
        next(pieces)
        path.unlink()
        with pytest.raises(ChangedError):
            list(pieces)


def test_a_file_that_is_changing_is_reported_and_is_no_error(
    sender_at: Callable[[str], Sender], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sender = sender_at("folder")
    sender.put(zip_name(), make_zip(tmp_path / "made.zip").read_bytes())
    seen = look([place_of(sender.address, sender.settings)])
    (tmp_path / "sender" / zip_name()).write_bytes(b"P")
    report = take_in(sender.settings, seen)
    assert [one.outcome for one in report.not_taken] == ["changing"]
    assert not report.outcomes


def test_memory_does_not_grow_with_a_delivery(sender: Sender, tmp_path: Path) -> None:
    sender.put(zip_name(), os.urandom(24 * MEBIBYTE))
    (found,) = sender.look()
    tracemalloc.start()
    try:
        store(sender.settings.data_home.inbox, KEY, found.pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MEBIBYTE


def test_what_killed_runs_left_in_the_inbox_is_swept_while_nobody_copies(tmp_path: Path) -> None:
    left = [tmp_path / ".incoming-4711", tmp_path / "arrivals" / ".x.parquet.tmp"]

    def copying() -> Iterator[bytes]:
        sweep(tmp_path)
        yield b"PK"

    (tmp_path / "arrivals").mkdir()
    with receiving(tmp_path):
        for path in left:
            path.touch()
        store(tmp_path, KEY, copying())
        assert [path.exists() for path in left] == [True, True]
    sweep(tmp_path)
    assert [path.exists() for path in left] == [False, False]


def two_regions(folder: Path) -> None:
    make_zip(folder / zip_name("90101"), {"SERVICE.txt": visits(1, "90101")})
    make_zip(folder / zip_name("90201"), {"SERVICE.txt": visits(2, "90201")})
    make_zip(folder / zip_name("59999"), {"SERVICE.txt": visits(3, "59999")})
    make_zip(folder / "nameless.zip", {"SERVICE.txt": text("SERVICE")})


def test_a_regional_node_takes_in_its_own_alone_and_names_the_others(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    two_regions(tmp_path / "in")
    assert command("ingest", "--region", "02", tmp_path / "in") == 0
    shown = capfd.readouterr().out
    assert "other_region: 3" in shown
    assert f"{zip_name('90101')}: facility 90101 is of region 01" in shown
    assert f"{zip_name('59999')}: facility 59999 is of no region that the registry in force knows" in shown
    assert "nameless.zip: its sender is of no region" in shown
    receipts = records(settings, "receipts")
    assert receipts.select("region", "hospcode").rows() == [("02", "90201")]
    assert len(inbox_files(settings.data_home)) == 1
    logged = [json.loads(one) for one in (settings.data_home.logs / "ruam.jsonl").read_text().splitlines()]
    assert [one["other_region"] for one in logged if one["message"] == "ingested"] == [3]
    assert command("ingest", tmp_path / "in") == 0
    assert records(settings, "receipts").filter(pl.col("outcome") == "accepted").height == 2


def test_the_region_can_be_a_setting(
    command: Command, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_regions(tmp_path / "in")
    monkeypatch.setenv("RUAM_REGION", "01")
    assert command("ingest", tmp_path / "in") == 0
    assert records(settings, "receipts")["region"].to_list() == ["01"]
    monkeypatch.setenv("RUAM_REGION", "14")
    assert command("ingest", tmp_path / "in") == 4


@pytest.mark.parametrize("region", ["00", "14", "1", "north", ""])
def test_a_region_that_is_none_is_2(command: Command, capfd: pytest.CaptureFixture[str], region: str) -> None:
    for name in ("ingest", "run"):
        assert command(name, "--region", region, ".") == 2
        assert "01 to 13" in " ".join(capfd.readouterr().err.replace("│", " ").split())
