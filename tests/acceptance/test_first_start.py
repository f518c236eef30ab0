"""The key store is made once, by the service, for a database that has never had one."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import Config, load
from cypher.errors import KeyStoreRefused
from cypher.repositories.deployment import DeploymentRepository
from tests.factories import as_owner


@pytest.fixture
def config(environment) -> Config:
    return load(environment, None)


def at(config: Config, path: Path) -> Config:
    return replace(config, keys=replace(config.keys, path=path))


async def started(config: Config) -> UUID | str:
    """Start and stop; returns the id of the key store, or why there was no start."""
    try:
        async with resources(config, SystemClock(), may_create_keys=True) as open_:
            return open_.ring.store_id
    except KeyStoreRefused as refusal:
        return str(refusal)


@pytest.mark.parametrize("command", [("migrate",), ("keys", "status"), ("keys", "rotate"), ("tokens", "list")])
async def test_no_command_makes_a_key_store(config, environment, run_cli, command: tuple[str, ...]) -> None:
    done = await run_cli(SimpleNamespace(environment=environment), *command)
    assert not config.keys.path.exists()
    assert as_owner(config.postgres, "SELECT count(*) FROM key_store_identity") == [(0,)]
    if command != ("migrate",):
        sentence = f"There is no key store at {config.keys.path}. `cypher serve` makes one at its first start."
        assert (done.returncode, done.stderr) == (1, f"cypher: {sentence}\n")


async def test_instances_that_start_at_once_share_one_store(config) -> None:
    stores = await asyncio.gather(*(started(config) for _ in range(4)))
    assert len(set(stores)) == 1
    assert as_owner(config.postgres, "SELECT store_id, generation FROM key_store_identity") == [(stores[0], 1)]


async def test_of_two_stores_that_are_made_at_once_for_one_database_one_is_refused(config, tmp_path: Path) -> None:
    configs = [at(config, tmp_path / name) for name in ("one", "other")]
    outcomes = await asyncio.gather(*(started(each) for each in configs))
    [store] = [outcome for outcome in outcomes if isinstance(outcome, UUID)]
    [refusal] = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert "belongs to another database" in refusal
    assert as_owner(config.postgres, "SELECT store_id FROM key_store_identity") == [(store,)]
    assert await asyncio.gather(*(started(each) for each in configs)) == outcomes


async def test_a_first_start_that_is_cut_off_is_ended_by_the_next(config, monkeypatch) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(DeploymentRepository, "insert_epoch", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await started(config)
    made = (config.keys.path / "keyring.json").read_bytes()
    assert as_owner(config.postgres, "SELECT count(*) FROM key_store_identity") == [(0,)]
    store = await started(config)
    assert (config.keys.path / "keyring.json").read_bytes() == made
    assert as_owner(config.postgres, "SELECT store_id FROM key_store_identity") == [(store,)]
