"""A key is destroyed when nothing can need it any more, and not a moment before."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from cypher.auth.audit import Audit
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose, RotationPolicy, State, UnknownKey
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import NOTICE, keep_by_age, rotate
from cypher.errors import OperatorError, PostgresUnavailable, TrailRefused
from cypher.maintenance.reencryption import Reencryption
from cypher.maintenance.retirement import Retirement
from cypher.repositories.deployment import DeploymentRepository
from cypher.repositories.sealed_columns import SealedColumnsRepository
from tests.conftest import MASTER_PASSWORD
from tests.factories import as_owner, for_a_child, insert_family, insert_person

DELAY = timedelta(seconds=600)
POLICY = RotationPolicy(age=timedelta(days=90), operations=1_000_000)


class MovedClock(SystemClock):
    """The machine's clock, moved ahead by a test."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def retirement(db, ring: KeyRing, clock: MovedClock) -> Retirement:
    audit = Audit(clock, BlindIndex(ring))
    return Retirement(db=db, ring=ring, audit=audit, clock=clock, delay=DELAY, policy=POLICY)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring.json"


async def rotated(ring: KeyRing, purpose: Purpose = Purpose.DATA) -> str:
    return (await asyncio.to_thread(rotate, ring, purpose)).id


def states(ring: KeyRing) -> dict[str, State]:
    return {info.id: info.state for info in ring.get_key_info()}


async def test_a_key_goes_when_its_rows_and_its_time_are_gone(
    db, ring: KeyRing, codec: FieldCodec, retirement: Retirement, clock: MovedClock, file, postgres_config
) -> None:
    user = await insert_person(db)
    await insert_family(db, user.id)
    old = ring.primary(Purpose.DATA).id
    with pytest.raises(OperatorError, match="is active"):
        await retirement.destroy(old)
    await rotated(ring)
    with pytest.raises(OperatorError, match="can be destroyed from"):
        await retirement.destroy(old)
    clock.ahead = DELAY
    before = file.read_bytes()
    with pytest.raises(OperatorError, match=r"1 in refresh_tokens\.metadata, 1 in user_sessions.ip_address"):
        await retirement.destroy(old)
    assert file.read_bytes() == before
    await Reencryption(db=db, ring=ring, codec=codec, clock=clock).run()
    proof = await retirement.destroy(old)
    assert (proof.key_id, proof.rows_before, proof.rows_after) == (old, 0, 0)
    assert states(ring)[old] is State.DESTROYED
    kept = next(key for key in json.loads(file.read_text())["keys"] if key["id"] == old)
    assert kept["wrapped"] == ""
    assert as_owner(postgres_config, "SELECT retired_at IS NOT NULL FROM data_keys WHERE key_id = %s", old) == [(True,)]
    assert as_owner(postgres_config, "SELECT count(*) FROM audit_logs WHERE action = 'crypto.key.destroyed'") == [(1,)]
    async with db.connection() as repos:
        assert (await repos.users.get_user(user.id)).username == user.username
    with pytest.raises(OperatorError, match="destroyed already"):
        await retirement.destroy(old)


@pytest.mark.parametrize("key_id", ["", "data-20260101-00000000", "x" * 300])
async def test_an_unknown_key_is_refused(retirement: Retirement, file, key_id: str) -> None:
    before = file.read_bytes()
    with pytest.raises(OperatorError, match="no key"):
        await retirement.destroy(key_id)
    assert file.read_bytes() == before


@pytest.mark.parametrize("purpose", [Purpose.FAKE, Purpose.AUDIT, Purpose.AUDIT_MAC, Purpose.AUDIT_DATA])
async def test_keys_that_the_past_needs_stay(ring: KeyRing, retirement: Retirement, purpose: Purpose) -> None:
    with pytest.raises(OperatorError, match="never destroyed"):
        await retirement.destroy(ring.primary(purpose).id)


async def test_the_first_setup_stays_and_a_later_one_goes_with_its_last_person(
    db, ring: KeyRing, retirement: Retirement, clock: MovedClock, postgres_config
) -> None:
    first = ring.primary(Purpose.OPAQUE).id
    user = await insert_person(db)
    setups = [rotate(ring, Purpose.OPAQUE, secret=os.urandom(128)).id for _ in range(2)]
    clock.ahead = POLICY.afterlife(Purpose.OPAQUE)
    with pytest.raises(OperatorError, match="first setup"):
        await retirement.destroy(first)
    as_owner(postgres_config, "UPDATE users SET opaque_setup_id = %s", setups[0])
    with pytest.raises(OperatorError, match=r"1 in users\.opaque_setup_id"):
        await retirement.destroy(setups[0])
    as_owner(postgres_config, "DELETE FROM users WHERE id = %s", user.id)
    await retirement.destroy(setups[0])
    assert [key.id for key in ring.live(Purpose.OPAQUE)] == [setups[1], first]


async def test_no_key_is_destroyed_without_an_entry_in_the_trail(
    ring: KeyRing, retirement: Retirement, clock: MovedClock, file, postgres_config, monkeypatch
) -> None:
    old, _ = ring.primary(Purpose.DATA).id, await rotated(ring)
    clock.ahead = DELAY
    before = file.read_bytes()
    as_owner(postgres_config, "REVOKE INSERT ON audit_logs FROM cypher_service")
    with pytest.raises(TrailRefused):
        await retirement.destroy(old)
    assert file.read_bytes() == before
    as_owner(postgres_config, "GRANT INSERT ON audit_logs TO cypher_service")
    with monkeypatch.context() as crash:
        crash.setattr(DirectoryKeyStore, "write", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await retirement.destroy(old)
    assert file.read_bytes() == before
    assert as_owner(postgres_config, "SELECT count(*) FROM audit_logs WHERE action = 'crypto.key.destroyed'") == [(1,)]
    await retirement.destroy(old)
    assert states(ring)[old] is State.DESTROYED


@pytest.mark.parametrize("purpose", [Purpose.SIGNING, Purpose.CACHE, Purpose.OPAQUE])
async def test_a_key_stays_while_a_token_a_cached_value_or_a_registration_may_need_it(
    ring: KeyRing, retirement: Retirement, clock: MovedClock, file, purpose: Purpose
) -> None:
    secret = os.urandom(128) if purpose is Purpose.OPAQUE else None
    if purpose is Purpose.OPAQUE:
        rotate(ring, purpose, secret=secret)  # the first setup stays for ever
    old = ring.primary(purpose).id
    rotate(ring, purpose, secret=secret)
    if purpose is Purpose.SIGNING:
        clock.ahead = NOTICE
        keep_by_age(ring, clock.now(), POLICY)
    # What was made in the last second before it was replaced lives for an hour.
    clock.ahead += DELAY
    before = file.read_bytes()
    with pytest.raises(OperatorError, match="what it has made is gone then"):
        await retirement.destroy(old)
    assert file.read_bytes() == before
    clock.ahead += POLICY.afterlife(purpose) - DELAY
    await retirement.destroy(old)
    assert states(ring)[old] is State.DESTROYED


async def test_a_key_that_is_met_again_between_the_counts_stays(
    db, ring: KeyRing, codec: FieldCodec, retirement: Retirement, clock: MovedClock, postgres_config, monkeypatch
) -> None:
    user = await insert_person(db)
    old = ring.primary(Purpose.DATA)
    await rotated(ring)
    await Reencryption(db=db, ring=ring, codec=codec, clock=clock).run()
    clock.ahead = DELAY
    cell = Cell("users", "opaque_record", user.id)
    late = codec.reseal(await codec.seal(bytes(192), cell), cell, old)
    retire = DeploymentRepository.retire_key

    async def retire_and_meet(self, key_id: str) -> None:
        await retire(self, key_id)
        as_owner(
            postgres_config, "UPDATE users SET opaque_record = %s, opaque_record_key_id = %s", late.ciphertext, old.id
        )

    monkeypatch.setattr(DeploymentRepository, "retire_key", retire_and_meet)
    with pytest.raises(OperatorError, match=r"1 in users\.opaque_record"):
        await retirement.destroy(old.id)
    assert states(ring)[old.id] is State.DECRYPT_ONLY


async def test_a_sweep_that_waited_long_for_its_rows_moves_none_to_a_destroyed_key(
    db, ring: KeyRing, codec: FieldCodec, retirement: Retirement, clock: MovedClock, postgres_config, monkeypatch
) -> None:
    user = await insert_person(db)
    first, second = ring.primary(Purpose.DATA).id, await rotated(ring)
    listed = SealedColumnsRepository.list_stale

    async def outlast(self, column, key_id: str, *given):
        cells = await listed(self, column, key_id, *given)
        if key_id == second and states(ring)[second] is State.ACTIVE:
            # A table so large that another key takes over meanwhile, and this one, with no row yet, is destroyed.
            await rotated(ring)
            clock.ahead = DELAY
            await retirement.destroy(second)
        return cells

    monkeypatch.setattr(SealedColumnsRepository, "list_stale", outlast)
    done = await Reencryption(db=db, ring=ring, codec=codec, clock=clock).run()
    assert (done.moved, done.unopened) == (2, 0)
    assert states(ring)[second] is State.DESTROYED
    async with db.connection() as repos:
        assert (await repos.users.get_user(user.id)).username == user.username
        assert not {first, second} & (await repos.sealed_columns.count_rows()).keys()


async def test_a_key_is_taken_from_sealing_only_when_no_sweep_is_about_to_write_under_it(
    db, ring: KeyRing, postgres_config
) -> None:
    key_id = ring.primary(Purpose.DATA).id
    async with db.connection() as repos:
        assert not await repos.deployment.hold_data_key(key_id)  # it was not noted yet
        await repos.deployment.insert_data_key(key_id)
    async with db.transaction() as sweeping, db.connection() as repos:
        assert await sweeping.deployment.hold_data_key(key_id)
        # Nobody who seals is held up, and no other sweep.
        assert await repos.deployment.reserve_operations(key_id, 1, None)
        assert await repos.deployment.hold_data_key(key_id)
        with pytest.raises(PostgresUnavailable):  # the lock is not given within half a second
            await repos.deployment.retire_key(key_id)
    async with db.connection() as repos:
        await repos.deployment.retire_key(key_id)
        assert not await repos.deployment.hold_data_key(key_id)


WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
import pickle
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.errors import PostgresUnavailable
from cypher.postgres import Database
from cypher.repositories import repositories_over
from tests.factories import insert_person

path, password, config, ahead = sys.argv[1:]

class Clock(SystemClock):
    # Whoever was stopped for long finds the clocks moved on.
    def monotonic(self):
        return super().monotonic() + (float(ahead) if resumed else 0.0)

class Stopping(FieldCodec):
    # Stops the whole process between sealing and writing, inside the transaction.
    async def seal(self, *given):
        global resumed
        sealed = await super().seal(*given)
        if not resumed:
            resumed = True
            print(sealed.key_id, flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return sealed

resumed = False

async def main():
    ring = KeyRing.open(DirectoryKeyStore(Path(path)), password, Clock())
    codec = Stopping(ring)
    over = repositories_over(ring, codec, BlindIndex(ring))
    db = await Database.open(pickle.loads(bytes.fromhex(config)), over)
    try:
        await insert_person(db, "written under a destroyed key")
        print("written", flush=True)
    except PostgresUnavailable:
        print("refused", flush=True)
    await insert_person(db, "written later")
    print("done", flush=True)
    await db.close()

asyncio.run(main())
"""


async def test_a_process_that_was_stopped_cannot_write_under_a_destroyed_key(
    db, ring: KeyRing, codec: FieldCodec, retirement: Retirement, clock: MovedClock, postgres_config, tmp_path: Path
) -> None:
    config = for_a_child(postgres_config)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "keys"), MASTER_PASSWORD, config, "600"]
    writer = started(command)
    try:
        old = (await asyncio.to_thread(writer.stdout.readline)).strip()
        assert old == ring.primary(Purpose.DATA).id
        new = await rotated(ring)
        await Reencryption(db=db, ring=ring, codec=codec, clock=clock).run()
        # The delay has passed for the operator; PostgreSQL ends the idle transaction after its five seconds.
        clock.ahead = DELAY
        await _until_idle_transactions_are_gone(postgres_config)
        await retirement.destroy(old)
        writer.send_signal(signal.SIGCONT)
        rest, _ = await asyncio.to_thread(writer.communicate, timeout=30)
    finally:
        writer.kill()
        writer.wait()
    assert rest.split() == ["refused", "done"]
    async with db.connection() as repos:
        assert await repos.users.find_by_username("written under a destroyed key") is None
        assert (await repos.users.find_by_username("written later")).username == "written later"
        counts = await repos.sealed_columns.count_rows()
    assert old not in counts
    assert counts[new]["users.username"] == 1
    with pytest.raises(UnknownKey):
        await ring.key(old)


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


async def _until_idle_transactions_are_gone(config) -> None:
    # As the service's own role: others' transactions are not shown to the schema's owner.
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = %s"
    password = config.password.reveal() if config.password else None
    mine = {"host": config.hosts[0], "port": config.port, "user": config.user, "dbname": config.database}
    seen = []
    async with asyncio.timeout(30):
        while not seen or seen[-1] != 0:
            with psycopg.connect(**mine, password=password, autocommit=True) as connection:
                seen += connection.execute(query, (config.database,)).fetchone()
            await asyncio.sleep(0.2)
    assert max(seen) == 1
