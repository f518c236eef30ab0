"""A backup that would not do is named before it is needed, and nothing that is there is overwritten."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.app import key_store
from cypher.backup import restoring
from cypher.backup.creating import Target, create_backup
from cypher.backup.dumping import require_readable
from cypher.backup.finishing import finish_restore
from cypher.backup.manifest import DUMP, KEYRING, MANIFEST
from cypher.backup.programs import environment_of, find_program
from cypher.backup.restoring import restore_backup
from cypher.backup.verifying import Source, verify_backup
from cypher.clock import SystemClock
from cypher.commands import backup as commands
from cypher.config import Secret, load
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import OperatorError
from tests.acceptance.backup.steps import MASTER_PASSWORD, SILENT, of, refusal, restored, sentence, verified
from tests.acceptance.person import Person
from tests.acceptance.service import Service, start
from tests.factories import as_owner

Paths = tuple[Path, Path]


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def flipped(paths: Paths) -> str:
    flip(paths[0] / DUMP, (paths[0] / DUMP).stat().st_size // 2)
    return f"{paths[0] / DUMP} is not what was written: its SHA-256 is another one."


def cut(paths: Paths) -> str:
    size = (paths[0] / DUMP).stat().st_size
    os.truncate(paths[0] / DUMP, size - 1)
    return f"{paths[0] / DUMP} is cut short: it has {size - 1} bytes of {size}."


def gone(paths: Paths) -> str:
    (paths[0] / DUMP).unlink()
    return f"{paths[0] / DUMP} cannot be read (No such file or directory)."


def keys_gone(paths: Paths) -> str:
    shutil.rmtree(paths[1])
    return f"There is no key store at {paths[1]}. Nothing was changed."


def keys_open_to_others(paths: Paths) -> str:
    paths[1].chmod(0o755)
    return f"{paths[1]} is open to other users (mode 0755). Run: chmod 700 {paths[1]}. Nothing was changed."


def key_missing(paths: Paths) -> str:
    file = paths[1] / KEYRING
    ring = json.loads(file.read_text())
    lost = next(key for key in ring["keys"] if key["purpose"] == "data" and key["state"] == "decrypt_only")
    ring["keys"].remove(lost)
    file.write_text(json.dumps(ring))
    return f"Rows of the dump need keys that the key store at {paths[1]} lacks: {lost['id']} (3 values)."


def keys_reformatted(paths: Paths) -> str:
    file = paths[1] / KEYRING
    size = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"\n")
    return f"{file} is longer than it was written: it has {size + 1} bytes of {size}."


def rows_changed(paths: Paths) -> str:
    file = paths[0] / MANIFEST
    manifest = json.loads(file.read_text())
    manifest["contents"]["made_at"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(manifest))
    return f"The manifest in {paths[0]} was changed: its signature is not by a key of this backup."


def manifest_cut(paths: Paths) -> str:
    os.truncate(paths[0] / MANIFEST, 100)
    return (
        f"{paths[0] / MANIFEST} is not what this version of Cypher has written: it was changed, cut short, or is of a "
        "later one."
    )


SPOILT = [flipped, cut, gone, keys_gone, keys_open_to_others, key_missing, keys_reformatted, rows_changed, manifest_cut]


async def test_a_backup_that_would_not_do_is_refused_in_a_sentence(backup: Paths, tmp_path: Path) -> None:
    assert verified(backup).contents.keys
    for spoil in SPOILT:
        spoilt = tmp_path / f"{spoil.__name__}-dump", tmp_path / f"{spoil.__name__}-keys"
        for whole, copy in zip(backup, spoilt, strict=True):
            shutil.copytree(whole, copy)
        expected = spoil(spoilt)
        with pytest.raises(OperatorError) as refused:
            verified(spoilt)
        assert str(refused.value) == expected


async def test_another_master_password_is_refused_and_not_shown(backup: Paths) -> None:
    with pytest.raises(OperatorError, match="The master password does not open the key store at") as refused:
        verified(backup, "another master password, long enough")
    assert "another master" not in str(refused.value)


@pytest.mark.slow
async def test_a_dump_signed_for_other_bytes_is_found_by_its_content(backup: Paths) -> None:
    """The list of what is in a dump is read, whatever its hash says."""
    program = find_program("pg_restore", at_least=verified(backup).contents.pg_dump)
    (backup[0] / DUMP).write_bytes(b"PGDMP and then nothing")
    with pytest.raises(OperatorError, match="is no dump of a database of Cypher's: pg_restore: error:"):
        require_readable(program, backup[0] / DUMP)


# -- where a backup may not go --------------------------------------------------------------------------------


async def test_nothing_is_overwritten_and_the_halves_lie_apart(service: Service, backup: Paths, tmp_path: Path):
    new, other = tmp_path / "new", tmp_path / "other"

    async def said(data: Path, keys: Path) -> str:
        with pytest.raises(OperatorError) as refused:
            await create_backup(service.resources, Target(data=data, keys=keys), SILENT)
        return str(refused.value)

    taken = "{} is there already. A backup overwrites nothing: name a new directory."
    assert await said(backup[0], other) == taken.format(backup[0])
    assert await said(new, backup[1]) == taken.format(backup[1])
    assert await said(Path("."), other) == taken.format(Path.cwd())
    assert await said(Path("/"), other) == taken.format("/")
    assert (await said(new, new / "keys")).startswith("The keys would lie with the data")
    (tmp_path / ".new.new").mkdir()
    assert "is being made, or was cut off. If none is, remove it." in await said(new, other)
    assert not new.exists()
    assert not other.exists()
    assert verified(backup)


def test_where_the_keys_go_must_be_said(tmp_path: Path) -> None:
    for keys_to, together in ((None, False), (tmp_path / "keys", True)):
        with pytest.raises(OperatorError, match="Say where the keys go: --keys-to another place"):
            commands.create(tmp_path / "new", keys_to=keys_to, together=together)


@pytest.mark.slow
async def test_both_halves_in_one_place_are_found_there(service: Service, person: Person, tmp_path: Path, run_cli):
    await person.register()
    done = await run_cli(service, "backup", "create", "--to", str(tmp_path / "both"), "--together")
    assert done.returncode == 0, done.stderr
    assert f"The backup is at {tmp_path / 'both'}, its keys at {tmp_path / 'both' / 'keys'}." in done.stdout
    proven = await run_cli(service, "backup", "verify", "--from", str(tmp_path / "both"))
    assert proven.returncode == 0, proven.stderr
    assert "is whole, and its keys open every row." in proven.stdout


@pytest.mark.slow
async def test_a_dump_that_fails_leaves_nothing_behind(service: Service, tmp_path: Path) -> None:
    service.resources = replace(
        service.resources,
        config=replace(service.config, postgres=replace(service.config.postgres, migration_user="nobody_at_all")),
    )
    with pytest.raises(OperatorError, match="pg_dump has failed: pg_dump: error: connection to server"):
        await create_backup(service.resources, Target(data=tmp_path / "a", keys=tmp_path / "b"), SILENT)
    assert not {"a", "b", ".a.new", ".b.new"} & set(os.listdir(tmp_path))


# -- where a backup may not be brought back to ------------------------------------------------------------------


async def test_a_database_that_is_not_empty_is_refused_and_stays(service: Service, backup: Paths) -> None:
    before = as_owner(service.config.postgres, "SELECT count(*) FROM audit_logs")
    with pytest.raises(OperatorError, match=r"^The database \w+ is not empty, and nothing is overwritten"):
        await restored(service.environment, backup)
    assert as_owner(service.config.postgres, "SELECT count(*) FROM audit_logs") == before


@pytest.mark.slow
async def test_somebody_elses_tables_are_refused(backup: Paths, empty) -> None:
    config = load(empty, None)
    as_owner(config.postgres, "CREATE TABLE deployment (theirs integer)")
    as_owner(config.postgres, "CREATE TABLE key_store_identity (theirs integer)")
    with pytest.raises(OperatorError, match="is not empty, and nothing is overwritten"):
        await restored(empty, backup)


@pytest.mark.slow
async def test_a_key_store_that_is_there_is_not_overwritten(backup: Paths, empty, tmp_path: Path) -> None:
    store = key_store(load(empty, None))
    KeyRing.create(store, MASTER_PASSWORD, SystemClock(), opaque_setup=bytes(128), rounds=1000)
    before = store.read()
    with pytest.raises(OperatorError, match=r"There is a key store at .* already, and it is not overwritten"):
        await restored(empty, backup)
    assert store.read() == before
    assert as_owner(load(empty, None).postgres, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.slow
async def test_a_dump_that_is_changed_after_it_was_verified_is_not_brought_back(backup: Paths, empty) -> None:
    config, found = load(empty, None), verified(backup)
    flipped(backup)
    with pytest.raises(OperatorError, match=r"was changed after it was verified\. The database is as it was"):
        await restore_backup(config, found, SystemClock(), SILENT)
    assert as_owner(config.postgres, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.slow
async def test_a_backup_of_a_later_version_is_refused(backup: Paths, empty, monkeypatch) -> None:
    monkeypatch.setattr(restoring, "names", lambda: ["0001_users"])
    with pytest.raises(OperatorError, match="The backup is of a later version of Cypher"):
        await restored(empty, backup)


@pytest.mark.slow
async def test_nobody_to_ask_is_a_refusal(backup: Paths, empty, run_cli) -> None:
    done = await run_cli(of(empty), "backup", "restore", "--from", str(backup[0]), "--keys-from", str(backup[1]))
    assert sentence(done).endswith("and end every session and token in it? Say --yes, or run this at a terminal.")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"from_": Path("a"), "finish": True},
        {"keys_in_place": True, "finish": True},
        {"from_": Path("a"), "keys_from": Path("b"), "keys_in_place": True},
    ],
)
def test_what_is_no_choice_is_refused(given: dict) -> None:
    with pytest.raises(OperatorError, match="Say --from with --keys-from or --keys-in-place"):
        commands.restore(**given)


@pytest.mark.slow
async def test_there_is_nothing_to_finish_in_an_empty_database(service: Service, empty) -> None:
    with pytest.raises(OperatorError, match="The database's schema lacks"):
        await finish_restore(load(empty, None), SystemClock())
    with pytest.raises(OperatorError, match="There is nothing in this database that a restore could finish"):
        await finish_restore(service.config, SystemClock())


# -- a database that came back by other means -------------------------------------------------------------------


async def test_a_plain_pg_restore_is_not_served_before_it_is_finished(backup: Paths, empty, http, run_cli) -> None:
    config = load(empty, None)
    bring_back_by_hand(config.postgres, backup)
    shutil.copytree(backup[1], config.keys.path)
    said = await refusal(empty)
    assert said == (
        f"The database and the key store at {config.keys.path} are not of one epoch: one of them was brought back from "
        "a backup, and what must end after that has not. Run: cypher backup restore --finish"
    )
    done = await run_cli(of(empty), "backup", "restore", "--finish", "--yes")
    assert done.returncode == 0, done.stderr
    assert "The database can be served. Ended: 1 sessions" in done.stdout
    assert "is undone: changed passwords are the old ones again" in done.stdout
    again = await start(empty)
    try:
        assert (await Person(http, again.url, "alice").login()).status == 200
    finally:
        await again.stop()


@pytest.mark.slow
async def test_what_came_back_together_with_its_epoch_can_be_finished_all_the_same(
    service: Service, person: Person, http
) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    done = await finish_restore(service.config, SystemClock())
    assert done.ended.sessions == 1
    # An instance that was not stopped is not ready, and seals nothing any more.
    service.resources.ring.reload()
    assert (await person.ask("GET", "/health/ready")).body["keys"] is False
    again = await start(service.environment)
    try:
        person.url = again.url
        assert (await person.session(token)).status == 401
        assert (await person.login()).status == 200
    finally:
        await again.stop()


@pytest.mark.slow
async def test_a_lost_database_comes_back_under_the_keys_that_are_there(
    service: Service, backup: Paths, empty, http
) -> None:
    rotate(service.resources.ring, Purpose.DATA)
    await service.stop()
    config = load({**empty, "KEY_STORE_PATH": service.environment["KEY_STORE_PATH"]}, None)
    source = Source(data=backup[0], store=key_store(config))
    found = verify_backup(source, Secret(MASTER_PASSWORD), SystemClock(), SILENT)
    await restore_backup(config, found, SystemClock(), SILENT)
    again = await start({**empty, "KEY_STORE_PATH": service.environment["KEY_STORE_PATH"]})
    try:
        assert (await Person(http, again.url, "alice").login()).status == 200
    finally:
        await again.stop()
    # The database that was thought to be lost is not of the epoch of its keys any more.
    assert "are not of one epoch" in await refusal(service.environment)


def bring_back_by_hand(postgres, paths: Paths) -> None:
    """Do what an operator without Cypher does."""
    program = find_program("pg_restore", at_least=verified(paths).contents.pg_dump)
    owner = postgres.as_owner()
    command = [program.path, "--no-owner", f"--dbname={owner.database}", str(paths[0] / DUMP)]
    subprocess.run(command, check=True, env=environment_of(owner))
