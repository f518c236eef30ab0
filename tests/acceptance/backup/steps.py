"""A deployment with people in it, its backup, and the empty place that the backup is brought back to."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from cypher.app import resources
from cypher.backup.dumping import Report
from cypher.backup.finishing import Restored
from cypher.backup.restoring import restore_backup
from cypher.backup.verifying import Backup, Source, verify_backup
from cypher.clock import SystemClock
from cypher.config import PostgresConfig, RedisConfig, Secret, load
from cypher.errors import CypherError
from cypher.operating import people
from tests.acceptance.authenticator import Authenticator, HandClock, enrol, prove
from tests.acceptance.new_passwords import id_of
from tests.acceptance.person import Person
from tests.acceptance.service import Service, environment_of

MASTER_PASSWORD = secrets.token_urlsafe(32)


@dataclass
class Lived:
    """What somebody has, who has a second factor and a trusted device."""

    person: Person
    app: Authenticator
    codes: list[str]
    login: dict[str, Any]
    recovery_token: str
    service_token: str


async def live(service: Service, person: Person, clock: HandClock) -> Lived:
    """Register somebody and give them one of everything that a restore must end."""
    assert (await person.register()).status == 201
    first = (await person.login()).body
    app, codes = await enrol(person, first["access_token"], clock)
    clock.next_step()
    asked = await person.login(device={"fingerprint": "a device"})
    login = (await prove(person, asked, app.code(), trust_device=True)).body
    assert login["status"] == "authenticated", login
    recovery = await people(service.resources).issue_recovery(id_of(login))
    _, token = await service.services.service_tokens.create("backend", frozenset({"introspect"}), None)
    return Lived(person, app, codes, login, recovery.recovery_token, token)


def settings(postgres: PostgresConfig, redis: RedisConfig, keys: Path) -> dict[str, str]:
    """Return the settings of a service, under a master password that either key store takes."""
    environment = environment_of(postgres, redis, keys)
    return {**environment, "MASTER_ENCRYPTION_PASSWORD": MASTER_PASSWORD}


def of(environment: dict[str, str]) -> SimpleNamespace:
    """Return what `run_cli` takes for a service."""
    return SimpleNamespace(environment=environment)


def sentence(done: "CompletedProcess[str]") -> str:
    """Return the one sentence of a refusal."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    said = [line for line in done.stderr.splitlines() if line.startswith("cypher: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return said[0].removeprefix("cypher: ")


class Silent:
    """Shows no progress."""

    def begin(self, step: str, total: int) -> Report:
        return lambda done: None


SILENT = Silent()


def verified(paths: tuple[Path, Path], password: str = MASTER_PASSWORD) -> Backup:
    """Verify a backup that lies in two places."""
    return verify_backup(Source(data=paths[0], keys=paths[1]), Secret(password), SystemClock(), SILENT)


async def restored(environment: dict[str, str], paths: tuple[Path, Path]) -> Restored:
    """Bring a backup back, in this process."""
    backup = verified(paths, environment["MASTER_ENCRYPTION_PASSWORD"])
    return await restore_backup(load(environment, None), backup, SystemClock(), SILENT)


async def refusal(environment: dict[str, str]) -> str:
    """Return why a service with these settings does not start, when it may make its keys."""
    with pytest.raises(CypherError) as refused:
        async with resources(load(environment, None), SystemClock(), may_create_keys=True):
            pass
    return str(refused.value)
