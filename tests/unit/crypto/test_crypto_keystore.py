import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.crypto import keystore
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore, StoredRing
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused

ROOT = Path(__file__).parents[3]

KILLED_IN_A_ROTATION = """
import os, signal, sys
from pathlib import Path
from cypher.clock import SystemClock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate

path, password, call, nth = sys.argv[1:]
ring = KeyRing.open(DirectoryKeyStore(Path(path)), password, SystemClock())
real, calls = getattr(os, call), []

def die(*given, **named):
    calls.append(1)
    if len(calls) == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)

setattr(os, call, die)
rotate(ring, Purpose.DATA)
"""


@pytest.fixture
def stored(ring: KeyRing, store: DirectoryKeyStore) -> StoredRing:
    found = store.read()
    assert found is not None
    return found


def snapshot(directory: Path) -> list[tuple[str, int, int, bytes]]:
    return sorted(
        (entry.name, entry.lstat().st_mode, entry.lstat().st_mtime_ns, entry.read_bytes() if entry.is_file() else b"")
        for entry in directory.iterdir()
    )


def refusal(store: DirectoryKeyStore) -> str:
    before = snapshot(Path(store.describe()))
    with pytest.raises(KeyStoreRefused) as refused:
        store.read()
    assert snapshot(Path(store.describe())) == before
    return str(refused.value)


def test_there_is_no_ring_before_it_is_written(store: DirectoryKeyStore, file: Path) -> None:
    assert store.read() is None
    assert store.stamp() is None
    store.prepare()
    assert store.read() is None
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_ring_is_private_whatever_the_umask(make_ring, file: Path) -> None:
    before = os.umask(0)
    try:
        make_ring()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["keyring.json"]


def test_directories_above_are_made(make_ring, tmp_path: Path) -> None:
    make_ring(at=DirectoryKeyStore(tmp_path / "a" / "b" / "keys"))
    assert (tmp_path / "a" / "b" / "keys" / "keyring.json").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o601, 0o666])
def test_a_file_that_others_can_open_is_refused(stored, store, file: Path, mode: int) -> None:
    file.chmod(mode)
    message = refusal(store)
    assert f"chmod 600 {file}" in message
    assert f"{mode:04o}" in message


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711, 0o777])
def test_a_directory_that_others_can_open_is_refused(stored, store, file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    assert f"chmod 700 {file.parent}" in refusal(store)
    with pytest.raises(KeyStoreRefused, match="chmod 700"), store.lock():
        pytest.fail("locked")


def test_a_loose_directory_gets_no_new_store(make_ring, file: Path) -> None:
    file.parent.mkdir(mode=0o755)
    with pytest.raises(KeyStoreRefused, match="chmod 700"):
        make_ring()
    assert list(file.parent.iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_refused(stored, store, file: Path, tmp_path: Path) -> None:
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")
    assert "symbolic link" in refusal(store)


def test_a_pipe_in_the_place_of_the_file_does_not_hang_the_start(stored, store, file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)
    assert str(file) in refusal(store)


def test_a_directory_in_the_place_of_the_file_is_refused(stored, store, file: Path) -> None:
    file.unlink()
    file.mkdir(mode=0o700)
    assert str(file.parent) in refusal(store)


def test_a_file_in_the_place_of_the_directory_is_refused(make_ring, file: Path) -> None:
    file.parent.write_text("")
    with pytest.raises(KeyStoreRefused, match=str(file.parent)):
        make_ring()


def test_a_huge_file_is_refused(stored, store, file: Path) -> None:
    os.truncate(file, keystore.LARGEST + 1)
    assert str(file) in refusal(store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_store_is_refused_and_root_is_let_in(stored, store, file: Path, password, monkeypatch) -> None:
    os.chown(file, 4321, 4321)
    os.chown(file.parent, 4321, 4321)
    assert store.read() == stored
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert f"chown 1234 {file.parent}" in refusal(store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_rotation_by_root_leaves_the_file_with_its_owner(ring: KeyRing, file: Path) -> None:
    os.chown(file, 4321, 4321)
    os.chown(file.parent, 4321, 4321)
    rotate(ring, Purpose.DATA)
    assert (file.stat().st_uid, file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (4321, 4321, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_store_that_cannot_be_reached_is_refused(stored, file: Path) -> None:
    code = "import sys; from pathlib import Path; from cypher.crypto.keystore import DirectoryKeyStore as S\n"
    code += "import os; os.setgid(4321); os.setuid(4321)\n"
    code += "from cypher.errors import KeyStoreRefused\n"
    code += "try: S(Path(sys.argv[1])).read()\nexcept KeyStoreRefused as refused: print(refused)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file.parent)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "cannot be read by this user (Permission denied)" in done.stdout


def test_a_store_truncated_anywhere_is_refused(stored, store, file: Path) -> None:
    whole = file.read_bytes()
    for length in [*range(0, len(whole) - 2, 97), len(whole) - 2]:
        file.write_bytes(whole[:length])
        assert f"{file} is corrupt or truncated" in refusal(store)
    file.write_bytes(whole)
    assert store.read() == stored


@pytest.mark.parametrize(
    "damage", [b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"version": "1"}', b"\0" * 4096]
)
def test_what_is_no_key_ring_is_refused(stored, store, file: Path, damage: bytes) -> None:
    file.write_bytes(damage)
    assert f"{file} is corrupt or truncated" in refusal(store)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("generation",), 0),
        (("generation",), "1"),
        (("store_id",), "not a uuid"),
        (("epoch",), "e{1}"),
        (("epoch",), "e1\n"),
        (("epoch",), ""),
        (("kdf", "name"), "md5"),
        (("kdf", "salt"), "AAAA"),
        (("kdf", "salt"), "AAECAwQFBgcICQoLDA0OD_"),
        (("kdf", "rounds"), 0),
        (("kdf", "rounds"), 10**12),
        (("keys", 0, "id"), "data:1"),
        (("keys", 0, "id"), "../data"),
        (("keys", 0, "state"), "unknown"),
        (("keys", 0, "state"), "destroyed"),
        (("keys", 0, "purpose"), "unknown"),
        (("keys", 0, "purpose"), "cache"),
        (("keys", 0, "algorithm"), "hmac"),
        (("keys", 1, "algorithm"), "fernet"),
        (("keys", 0, "activated_at"), None),
        (("keys", 0, "created_at"), "2026-11-23T00:00:00"),
        (("keys", 0, "wrapped"), ""),
        (("keys", 0, "wrapped"), "é"),
        (("keys", 0, "extra"), 1),
        (("extra",), 1),
    ],
)
def test_a_field_that_this_version_would_not_write_is_refused(stored, store, file: Path, place, value) -> None:
    data = json.loads(file.read_text())
    at = data
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    file.write_text(json.dumps(data))
    assert "corrupt" in refusal(store)


def test_two_keys_of_one_id_are_refused(stored, store, file: Path) -> None:
    data = json.loads(file.read_text())
    data["keys"].append({**data["keys"][0], "state": "decrypt_only"})
    file.write_text(json.dumps(data))
    assert "corrupt" in refusal(store)


def test_a_missing_store_is_not_made_by_locking(store, file: Path) -> None:
    with pytest.raises(KeyStoreRefused, match="cannot be locked"), store.lock():
        pytest.fail("locked")
    assert not file.parent.exists()


def test_a_failed_write_leaves_the_old_ring_and_no_rest(stored, store, file: Path, monkeypatch) -> None:
    before = snapshot(file.parent)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyStoreRefused, match="No space left"), store.lock():
        store.write(replace(stored, generation=2))
    assert snapshot(file.parent) == before


@pytest.mark.parametrize(
    ("call", "nth", "generation"),
    [("fsync", 1, 1), ("replace", 1, 1), ("fsync", 2, 2)],
    ids=["before the new file is safe", "before it takes its place", "before the directory is safe"],
)
def test_a_killed_rotation_leaves_a_whole_ring_that_goes_on(
    ring: KeyRing, file: Path, password, call: str, nth: int, generation: int
) -> None:
    command = [sys.executable, "-c", KILLED_IN_A_ROTATION, str(file.parent), password, call, str(nth)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    ring.reload()
    assert (ring.healthy, ring.generation) == (True, generation)
    # The lock went with its holder, and what was left behind is in nobody's way.
    rotate(ring, Purpose.DATA)
    assert ring.generation == generation + 1
    assert [entry.name for entry in file.parent.iterdir()] == ["keyring.json"]


def test_what_a_crash_left_behind_is_not_followed_as_a_link(stored, store, file: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    file.with_name("keyring.json.new").symlink_to(victim)
    with store.lock():
        store.write(replace(stored, generation=2))
    assert victim.read_text() == "precious"
    assert not file.is_symlink()


def test_a_crash_before_the_first_ring_leaves_room_for_it(make_ring, file: Path) -> None:
    file.parent.mkdir(mode=0o700)
    file.with_name("keyring.json.new").write_bytes(b'{"version": 1, "sto')
    make_ring()
    assert [entry.name for entry in file.parent.iterdir()] == ["keyring.json"]
