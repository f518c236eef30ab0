"""Keys move from one store to the other, and whatever interrupts that, nothing is lost and the next try ends it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import pytest

from cypher import moving
from cypher.app import key_store, resources
from cypher.auth.audit import Audit
from cypher.clock import SystemClock
from cypher.config import Config, load
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import KeyStore, StoredRing
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused, OperatorError
from cypher.moving import move_store

CLOCK = SystemClock()
PASSWORD = secrets.token_urlsafe(32)


class Crash(Exception):
    """The process ends here."""


@dataclass
class Steps:
    """Counts what a move does, and ends it before one of its steps."""

    fatal: int
    taken: int = 0

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.fatal:
            raise Crash


@dataclass
class SteppedStore:
    """A store, each of whose calls is a step."""

    real: KeyStore
    steps: Steps

    def read(self) -> StoredRing | None:
        self.steps.step()
        return self.real.read()

    def stamp(self) -> object:
        return self.real.stamp()

    def prepare(self) -> None:
        self.steps.step()
        self.real.prepare()

    @contextmanager
    def lock(self) -> Iterator[None]:
        self.steps.step()
        with self.real.lock():
            yield

    def write(self, ring: StoredRing) -> None:
        self.steps.step()
        self.real.write(ring)

    def remove(self) -> None:
        self.steps.step()
        self.real.remove()
        self.steps.step()

    def describe(self) -> str:
        return self.real.describe()


@pytest.fixture(params=["postgres", "directory"])
def before(request: pytest.FixtureRequest, environment: dict[str, str]) -> Config:
    """The settings before a move to the other store than the one of this fixture's name."""
    store = "directory" if request.param == "postgres" else "postgres"
    config = load({**environment, "KEY_STORE": store, "MASTER_ENCRYPTION_PASSWORD": PASSWORD}, None)
    # Few rounds, to be quick.
    KeyRing.create(key_store(config), PASSWORD, CLOCK, opaque_setup=bytes(128), rounds=1000)
    return config


@pytest.fixture
def after(before: Config) -> Config:
    other = "postgres" if before.keys.store == "directory" else "directory"
    return replace(before, keys=replace(before.keys, store=other))


async def move(before: Config, after: Config) -> str:
    path = after.keys.path if after.keys.store == "directory" else None
    return await move_store(before, after.keys.store, path, CLOCK)


async def keys_of(config: Config) -> dict[str, bytes] | None:
    """Return the keys that a service with these settings starts with; None when it refuses."""
    try:
        async with resources(config, CLOCK, may_create_keys=True) as open_:
            return {key.id: key.secret for purpose in Purpose for key in open_.ring.live(purpose)}
    except KeyStoreRefused:
        return None


async def move_until(fatal: int, before: Config, after: Config, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Move, and end it before its step number `fatal`; False when there were not so many."""
    steps = Steps(fatal)

    async def record(self: Audit, *given: object) -> None:
        steps.step()
        await real(self, *given)
        steps.step()

    real = Audit.record
    with monkeypatch.context() as patched:
        patched.setattr(moving, "key_store", lambda config: SteppedStore(key_store(config), steps))
        patched.setattr(Audit, "record", record)
        try:
            await move(before, after)
        except Crash:
            return True
    return False


async def interrupt_at_the_end(before: Config, after: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the keys in both places, each of which opens."""
    keys = await keys_of(before)
    for fatal in count(1):
        assert await move_until(fatal, before, after, monkeypatch)
        if await keys_of(after) == keys:
            return


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["nothing", "a rotation"])
async def test_a_move_that_is_interrupted_anywhere_loses_nothing_and_is_ended_by_the_next(
    before: Config, after: Config, monkeypatch, meanwhile: str
) -> None:
    keys = await keys_of(before)
    assert keys
    for fatal in count(1):
        if not await move_until(fatal, before, after, monkeypatch):
            break
        assert keys in (await keys_of(before), await keys_of(after)), fatal
        if meanwhile == "a rotation" and key_store(before).read():
            # By a service that has gone on running.
            key = rotate(KeyRing.open(key_store(before), PASSWORD, CLOCK), Purpose.DATA)
            keys[key.id] = KeyRing.open(key_store(before), PASSWORD, CLOCK).primary(Purpose.DATA).secret
        await move(before, after)
        assert (await keys_of(after), await keys_of(before)) == (keys, None), fatal
        await move(after, before)
    assert fatal > 10
    assert (await keys_of(after), await keys_of(before)) == (keys, None)


async def test_the_old_place_is_refused_and_holds_no_key_any_more(before: Config, after: Config) -> None:
    await keys_of(before)
    said = await move(before, after)
    assert f"KEY_STORE={after.keys.store}" in said
    assert key_store(before).read() is None
    for may_create in (True, False):
        with pytest.raises(KeyStoreRefused, match=r"There is no key store at .* but the database holds"):
            async with resources(before, CLOCK, may_create_keys=may_create):
                pass
    assert key_store(before).read() is None


async def test_moving_again_after_the_end_changes_nothing_and_says_the_same(before: Config, after: Config) -> None:
    await keys_of(before)
    said = await move(before, after)
    moved = key_store(after).read()
    assert await move(before, after) == said
    assert key_store(after).read() == moved


async def test_a_leftover_that_was_overtaken_is_taken_away(before: Config, after: Config, monkeypatch) -> None:
    await interrupt_at_the_end(before, after, monkeypatch)
    # The operator has taken the new settings, and the service there has a newer key.
    key = rotate(KeyRing.open(key_store(after), PASSWORD, CLOCK), Purpose.DATA)
    await move(before, after)
    assert key_store(before).read() is None
    assert key.id in (await keys_of(after) or ())


async def test_a_place_with_other_keys_is_refused_and_both_stay(before: Config, after: Config) -> None:
    await keys_of(before)
    KeyRing.create(key_store(after), PASSWORD, CLOCK, opaque_setup=bytes(128), rounds=1000)
    rings = key_store(before).read(), key_store(after).read()
    with pytest.raises(KeyStoreRefused, match=r"holds keys that are not in .* Nothing was changed"):
        await move(before, after)
    assert (key_store(before).read(), key_store(after).read()) == rings


async def test_two_stores_that_have_parted_are_both_kept(before: Config, after: Config, monkeypatch) -> None:
    await interrupt_at_the_end(before, after, monkeypatch)
    for config, times in ((before, 3), (after, 1)):
        for _ in range(times):
            rotate(KeyRing.open(key_store(config), PASSWORD, CLOCK), Purpose.DATA)
    rings = key_store(before).read(), key_store(after).read()
    with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
        await move(before, after)
    assert (key_store(before).read(), key_store(after).read()) == rings


async def test_what_cannot_be_moved_is_refused_before_anything_is_done(environment) -> None:
    chosen = "correct horse battery staple, and then some more"
    config = load({**environment, "MASTER_ENCRYPTION_PASSWORD": chosen}, None)
    with pytest.raises(OperatorError, match="openssl rand -base64 32") as refused:
        await move_store(config, "postgres", None, CLOCK)
    assert chosen not in str(refused.value)
    with pytest.raises(OperatorError, match="--path is for"):
        await move_store(config, "postgres", config.keys.path, CLOCK)
    with pytest.raises(OperatorError, match="already"):
        await move_store(config, "directory", None, CLOCK)
    nowhere = replace(config, keys=replace(config.keys, store="postgres", path=None))
    with pytest.raises(OperatorError, match="--path DIRECTORY"):
        await move_store(nowhere, "directory", None, CLOCK)
