"""Whatever happens to keys, in whatever order: no cell is ever lost."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from cypher.auth.audit import Audit
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, RotationPolicy
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate
from cypher.errors import OperatorError
from cypher.maintenance.reencryption import Reencryption
from cypher.maintenance.retirement import Retirement
from cypher.postgres import Database
from cypher.repositories import repositories_over
from tests.factories import as_owner, insert_person

PASSWORD = "a master password for a random life of keys"
DELAY = timedelta(seconds=600)
INSTANCES = 2


class MovedClock(SystemClock):
    """All clocks of all instances go together."""

    ahead = 0.0

    def now(self):
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self):
        return super().monotonic() + self.ahead


class Stopped(Exception):
    """A sweep was cut off."""


class Slow(Reencryption):
    """A sweep that others overtake between its reading and its writing."""

    meanwhile: list[Callable[[], Awaitable[object]]]

    async def _learn_keys(self, cells) -> None:
        await super()._learn_keys(cells)
        while cells and self.meanwhile:
            await self.meanwhile.pop(0)()


class Instance:
    """What one process holds."""

    def __init__(self, path: Path, clock: MovedClock, config) -> None:
        self.ring = KeyRing.open(DirectoryKeyStore(path), PASSWORD, clock)
        self.codec = FieldCodec(self.ring)
        self.clock = clock
        self.config = config

    async def open(self) -> "Instance":
        over = repositories_over(self.ring, self.codec, BlindIndex(self.ring))
        self.db = await Database.open(self.config, over)
        return self

    def sweep(self, kind: type[Reencryption] = Reencryption) -> Reencryption:
        return kind(db=self.db, ring=self.ring, codec=self.codec, clock=self.clock)

    def retirement(self) -> Retirement:
        audit = Audit(self.clock, BlindIndex(self.ring))
        policy = RotationPolicy(age=timedelta(days=90), operations=1_000_000)
        return Retirement(db=self.db, ring=self.ring, audit=audit, clock=self.clock, delay=DELAY, policy=policy)


def life_on(config) -> type[RuleBasedStateMachine]:
    """Return the machine over one real database."""

    class Life(RuleBasedStateMachine):
        @initialize(algorithm=st.sampled_from([Algorithm.FERNET, Algorithm.AES_256_GCM]))
        def begin(self, algorithm: Algorithm) -> None:
            self.runner = asyncio.Runner()
            self.folder = tempfile.TemporaryDirectory()
            self.clock = MovedClock()
            self.path = Path(self.folder.name) / "keys"
            setup = os.urandom(128)
            store = DirectoryKeyStore(self.path)
            KeyRing.create(store, PASSWORD, self.clock, opaque_setup=setup, rounds=1, data_algorithm=algorithm)
            self.instances = [self.start() for _ in range(INSTANCES)]
            self.people: dict[UUID, str] = {}

        def start(self) -> Instance:
            return self.runner.run(Instance(self.path, self.clock, config).open())

        @rule(who=st.integers(0, INSTANCES - 1))
        def encrypt(self, who: int) -> None:
            user = self.runner.run(insert_person(self.instances[who].db, f"person-{secrets.token_hex(8)}"))
            self.people[user.id] = user.username

        @rule(who=st.integers(0, INSTANCES - 1), algorithm=st.sampled_from([None, *Algorithm]))
        def rotate(self, who: int, algorithm: Algorithm | None) -> None:
            try:
                rotate(self.instances[who].ring, Purpose.DATA, algorithm=algorithm)
            except OperatorError:
                assert algorithm not in (None, Algorithm.FERNET, Algorithm.AES_256_GCM)

        @rule(who=st.integers(0, INSTANCES - 1))
        def reencrypt(self, who: int) -> None:
            assert self.runner.run(self.instances[who].sweep().run()).unopened == 0

        @rule(who=st.integers(0, INSTANCES - 1), after=st.integers(1, 3))
        def reencrypt_and_be_cut_off(self, who: int, after: int) -> None:
            left = [None] * after

            def stop(progress) -> None:
                left.pop()
                if not left:
                    raise Stopped

            try:
                self.runner.run(self.instances[who].sweep().run(stop))
            except Stopped:
                self.crash(who)

        @rule(
            who=st.integers(0, INSTANCES - 1),
            acts=st.lists(st.sampled_from(["retire", "rotate", "retire", "reencrypt"]), min_size=1, max_size=3),
        )
        def reencrypt_and_be_overtaken(self, who: int, acts: list[str]) -> None:
            self.encrypt(who)  # something to move
            rotate(self.instances[who].ring, Purpose.DATA)
            other = self.instances[who - 1]
            sweep = self.instances[who].sweep(Slow)
            sweep.meanwhile = [partial(self.act, other, act) for act in acts]
            self.runner.run(sweep.run())

        async def act(self, other: Instance, act: str) -> None:
            if act == "reencrypt":
                await other.sweep().run()
                return
            rotate(other.ring, Purpose.DATA)
            if act == "retire":
                self.clock.ahead += DELAY.total_seconds()
                for key in other.ring.live(Purpose.DATA):
                    with suppress(OperatorError):
                        await other.retirement().destroy(key.id)

        @rule(who=st.integers(0, INSTANCES - 1), which=st.integers(0, 20))
        def destroy(self, who: int, which: int) -> None:
            keys = [info for info in self.instances[who].ring.get_key_info() if info.purpose is Purpose.DATA]
            try:
                self.runner.run(self.instances[who].retirement().destroy(keys[which % len(keys)].id))
            except OperatorError:
                return

        @rule(who=st.integers(0, INSTANCES - 1))
        def retire(self, who: int) -> None:
            """What an operator does with an old key; any order of the same steps is tried by the rules above."""
            self.reload(who)
            old = self.instances[who].ring.primary(Purpose.DATA).id
            rotate(self.instances[who].ring, Purpose.DATA)
            self.clock.ahead += DELAY.total_seconds()
            self.reencrypt(who)
            self.runner.run(self.instances[who].retirement().destroy(old))
            assert old not in {key.id for key in self.instances[who].ring.live(Purpose.DATA)}

        @rule(seconds=st.sampled_from([1, 20, 31, 601]))
        def wait(self, seconds: int) -> None:
            self.clock.ahead += seconds

        @rule(who=st.integers(0, INSTANCES - 1))
        def reload(self, who: int) -> None:
            self.instances[who].ring.reload()

        @rule(who=st.integers(0, INSTANCES - 1))
        def crash(self, who: int) -> None:
            self.runner.run(self.instances[who].db.close())
            self.instances[who] = self.start()

        @rule(who=st.integers(0, INSTANCES - 1))
        def change_rounds(self, who: int) -> None:
            self.instances[who].ring.rewrap(PASSWORD, 2)
            # The others have another key-encryption key: they are started anew, as the operator was told.
            for other in range(INSTANCES):
                if other != who:
                    self.crash(other)

        @invariant()
        def every_cell_opens_on_every_instance(self) -> None:
            self.clock.ahead += 1  # an unknown key is looked for once a second
            for instance in self.instances:
                assert self.runner.run(self.names(instance)) == self.people

        async def names(self, instance: Instance) -> dict[UUID, str]:
            async with instance.db.connection() as repos:
                users = [await repos.users.get_user(user_id) for user_id in self.people]
            return {user.id: user.username for user in users}

        def teardown(self) -> None:
            for instance in self.instances:
                self.runner.run(instance.db.close())
            as_owner(config, "DELETE FROM users")
            as_owner(config, "DELETE FROM data_keys")
            self.runner.close()
            self.folder.cleanup()

    return Life


@pytest.mark.slow
def test_no_cell_is_ever_lost(postgres_config) -> None:
    run_state_machine_as_test(
        life_on(postgres_config),
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
        ),
    )
