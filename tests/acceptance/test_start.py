"""The service starts on what fits together, or says in one sentence what does not, and changes nothing."""

import os

import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.errors import SchemaRefused
from tests.acceptance.person import Person


async def refusal(config) -> str:
    with pytest.raises(SchemaRefused) as refused:
        async with resources(config, SystemClock(), may_create_keys=True):
            pass
    return str(refused.value)


@pytest.fixture
async def lived_in(start_service, http):
    """A service that a person has used, stopped again; returns its configuration."""
    service = await start_service()
    assert (await Person(http, service.url, "alice").register()).status == 201
    await service.stop()
    return service


async def test_it_says_that_it_made_a_key_store_and_then_finds_everything_again(start_service, http, caplog) -> None:
    caplog.set_level("INFO", "cypher")
    first = await start_service()
    assert f"made the key store at {first.config.keys.path}: back it up" in caplog.text
    assert (await Person(http, first.url, "alice").register()).status == 201
    await first.stop()
    caplog.clear()
    again = await start_service()
    assert "key store" not in caplog.text
    assert (await Person(http, again.url, "alice").login()).status == 200


async def test_a_schema_that_is_behind_is_refused(lived_in) -> None:
    await lived_in.execute("DELETE FROM _yoyo_migration WHERE migration_id LIKE '0001%'")
    assert "cypher migrate" in await refusal(lived_in.config)


async def test_the_command_line_says_it_in_one_sentence(lived_in, run_cli) -> None:
    os.chmod(lived_in.config.keys.path, 0o755)
    assert "chmod 700" in one_sentence(await run_cli(lived_in, "keys", "status"))


async def test_a_schema_that_somebody_changed_is_one_sentence_as_well(lived_in, run_cli) -> None:
    await lived_in.execute("ALTER TABLE data_keys RENAME TO theirs")
    for command in (["serve"], ["keys", "status"]):
        sentence = one_sentence(await run_cli(lived_in, *command))
        assert "deployment.sql:" in sentence
        assert "SQLSTATE 42P01" in sentence


def one_sentence(outcome) -> str:
    """Return what a command that refuses says."""
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("cypher: ")
    assert len(outcome.stderr.strip().splitlines()) == 1
    return outcome.stderr
