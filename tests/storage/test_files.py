"""What is particular to blobs in a directory: what survives a power cut, and a full disk."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actors.storage.files import Files
from actors.storage.ports import BlobNotFound, StorageFull, StorageUnavailable

ROOT = Path(__file__).parent.parent.parent


def all_files(directory: Path) -> list[str]:
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


@pytest.fixture
def calls(monkeypatch):
    """What the operating system was asked to do, in its order."""
    seen: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((f"fsync {kind}", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        seen.append(("rename", f"{self} -> {target}"))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    return seen


def test_the_bytes_are_synced_before_the_name_and_the_name_before_the_return(tmp_path, calls):
    files = Files(tmp_path)
    calls.clear()

    files.put("3f/a.jpg", b"data")

    beside = tmp_path / ".partial" / "0"
    assert calls == [
        ("fsync file", str(beside)),
        ("rename", f"{beside} -> {tmp_path / '3f' / 'a.jpg'}"),
        ("fsync directory", str(tmp_path / "3f")),
    ]


def test_a_copy_is_a_link_whose_name_is_synced_before_the_return(tmp_path, calls):
    files = Files(tmp_path)
    files.put("3f/a.jpg", b"data")
    calls.clear()

    files.copy("3f/a.jpg", "00/b.jpg")

    assert (tmp_path / "00/b.jpg").samefile(tmp_path / "3f/a.jpg")
    assert calls == [("fsync directory", str(tmp_path / "00"))]


@pytest.mark.parametrize("code", ["EMLINK", "EPERM", "EXDEV", "EOPNOTSUPP"])
def test_where_there_can_be_no_link_a_copy_is_written_as_any_other_file(
    tmp_path, calls, monkeypatch, code
):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(getattr(errno, code), "no")

    files = Files(tmp_path)
    files.put("3f/a.jpg", b"data")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    calls.clear()

    size = files.copy("3f/a.jpg", "00/b.jpg")

    assert (size, files.get("00/b.jpg")) == (4, b"data")
    assert not (tmp_path / "00/b.jpg").samefile(tmp_path / "3f/a.jpg")
    assert [kind for kind, _ in calls] == ["fsync file", "rename", "fsync directory"]


def test_a_link_that_finds_no_room_says_so(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    files = Files(tmp_path)
    files.put("3f/a.jpg", b"data")
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    with pytest.raises(StorageFull):
        files.copy("3f/a.jpg", "00/b.jpg")


def test_the_directories_themselves_are_synced_at_the_opening(tmp_path, calls):
    Files(tmp_path / "blobs")

    assert ("fsync directory", str(tmp_path / "blobs")) in calls


def test_a_half_written_file_is_never_visible_under_its_key(tmp_path, monkeypatch):
    files = Files(tmp_path)
    files.put("3f/a", b"before")
    seen = []

    def look_before_the_sync(_):
        seen.append((files.get("3f/a"), all_files(tmp_path / "3f")))

    monkeypatch.setattr(os, "fsync", look_before_the_sync)
    files.put("3f/a", b"after")

    # Before the file was synced, and before the directory was.
    assert seen == [(b"before", ["a"]), (b"after", ["a"])]


def test_a_process_that_is_killed_in_the_middle_leaves_nothing_visible(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from actors.storage.files import Files\n"
        "files = Files(Path(sys.argv[1]))\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.put('3f/a', b'data')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False, timeout=20
    )
    left = all_files(tmp_path)
    files = Files(tmp_path)

    assert ended.returncode == -9
    assert left == [".partial/0"]
    assert all_files(tmp_path) == []
    with pytest.raises(BlobNotFound):
        files.get("3f/a")


def test_leftovers_of_the_last_process_are_swept_at_the_opening(tmp_path):
    Files(tmp_path).put("3f/a", b"data")
    for name in ("0", "17"):
        (tmp_path / ".partial" / name).write_bytes(b"half")

    files = Files(tmp_path)
    files.put("3f/b", b"more")

    assert all_files(tmp_path) == ["3f/a", "3f/b"]


def test_reopening_keeps_everything(tmp_path):
    Files(tmp_path).put("3f/a", b"data")

    assert Files(tmp_path).get("3f/a") == b"data"


def test_a_write_of_the_system_that_is_shorter_than_asked_is_continued(tmp_path):
    # What is larger than this, Linux never writes at once; so let every write be short.
    class Short:
        def __init__(self, file):
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def write(self, data):
            return self._file.write(data[:1000])

        def fileno(self):
            return self._file.fileno()

    data = os.urandom(10_500)
    files = Files(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        whole = Path.open
        patch.setattr(Path, "open", lambda self, *args, **kw: Short(whole(self, *args, **kw)))
        files.put("3f/a", data)

    assert files.get("3f/a") == data


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_nothing_behind_and_says_so(tmp_path, monkeypatch, call, code):
    files = Files(tmp_path)
    files.put("3f/a", b"before")

    def full(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (Path, "rename")), full)
        with pytest.raises(StorageFull):
            files.put("3f/a", b"after")
        with pytest.raises(StorageFull):
            files.put("3f/b", b"new")
    files.put("3f/c", b"afterwards")

    assert all_files(tmp_path) == ["3f/a", "3f/c"]
    assert files.get("3f/a") == b"before"


def test_a_write_that_the_system_cuts_off_leaves_nothing_behind_and_says_so(tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from actors.storage.files import Files\n"
        "from actors.storage.ports import StorageFull\n"
        "files = Files(Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "files.put('3f/small', bytes(10_000))\n"
        "try: files.put('3f/large', bytes(10_001))\n"
        "except StorageFull as error: print('full:', error)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert ended.stdout == "full: File too large\n"
    assert all_files(tmp_path) == ["3f/small"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EMFILE])
def test_any_other_trouble_is_unavailable_for_now(tmp_path, monkeypatch, code):
    files = Files(tmp_path)

    def broken(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(StorageUnavailable, match=os.strerror(code)):
            files.put("3f/a", b"data")

    assert all_files(tmp_path) == []


def test_a_name_that_cannot_be_synced_is_said_to_be_and_leaves_no_half_file(tmp_path, monkeypatch):
    files = Files(tmp_path)
    fsync = os.fsync

    def no_directories(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_directories)
        with pytest.raises(StorageUnavailable):
            files.put("3f/a", b"data")

    # Whether the name survives a power cut is unknown, but what it stands for is whole.
    assert all_files(tmp_path) == ["3f/a"]
    assert files.get("3f/a") == b"data"


def test_a_file_that_cannot_be_read_is_unavailable(tmp_path):
    files = Files(tmp_path)
    (tmp_path / "3f" / "a").mkdir()

    with pytest.raises(StorageUnavailable):
        files.get("3f/a")


def test_a_place_that_is_no_directory_is_unavailable(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageUnavailable):
        Files(tmp_path / "file")


def test_shards_tell_every_name_even_one_that_is_no_text(tmp_path):
    files = Files(tmp_path)
    for key in ("00/a", "3f/b", "3f/c", "ff/d"):
        files.put(key, b"data")
    foreign = os.fsdecode(b"ab\xff.jpg")
    (tmp_path / "ff" / foreign).write_bytes(b"")

    shards = list(files.shards())

    assert len(shards) == 256
    assert sorted(shards[0x3F]) == ["3f/b", "3f/c"]
    assert sorted(key for shard in shards for key in shard) == [
        *("00/a", "3f/b", "3f/c"),
        *(f"ff/{foreign}", "ff/d"),
    ]


def test_two_threads_that_put_at_once_do_not_share_a_file_beside(tmp_path, monkeypatch):
    files = Files(tmp_path)
    both = threading.Barrier(2, timeout=10)
    fsync = os.fsync

    def together(descriptor):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            both.wait()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", together)
    other = threading.Thread(target=files.put, args=("3f/a", b"one"))
    other.start()
    files.put("3f/b", b"two")
    other.join()

    assert (files.get("3f/a"), files.get("3f/b")) == (b"one", b"two")
