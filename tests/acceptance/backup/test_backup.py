"""A backup is made beside live traffic, proven, brought back elsewhere, and then everybody logs in and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cypher.config import PostgresConfig
from cypher.embedded import Embedded
from tests.acceptance.authenticator import HandClock, prove
from tests.acceptance.backup.steps import MASTER_PASSWORD, Lived, live, of, settings
from tests.acceptance.new_passwords import recover
from tests.acceptance.person import Person
from tests.processes import private_folder

ENDED = {"sessions", "device_tokens", "recovery_tokens", "service_tokens", "recovery_codes", "totp_steps"}


def options(paths: tuple[Path, Path]) -> tuple[str, ...]:
    return ("--from", str(paths[0]), "--keys-from", str(paths[1]))


async def make(run_cli, service, paths: tuple[Path, Path]) -> dict:
    done = await run_cli(service, "backup", "create", "--to", str(paths[0]), "--keys-to", str(paths[1]), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def refusals(person: Person, lived: Lived, url: str) -> dict[str, object]:
    """Return how each thing of before is answered."""
    person.url = url
    login, codes = lived.login, {}
    codes["session"] = (await person.session(login["access_token"])).status
    codes["refresh"] = (await person.refresh(login["refresh_token"])).body["error"]
    headers = {"Authorization": f"Bearer {lived.service_token}"}
    introspect = await person.ask("POST", "/oauth/introspect", data={"token": "x"}, headers=headers)
    codes["service"] = introspect.status
    codes["recovery"] = (await recover(person, lived.recovery_token, b"taken over")).status
    return codes


@pytest.fixture
def place(request: pytest.FixtureRequest, redis_config, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of an empty database: on this run's server, or on another one, which has counted fewer transactions."""
    if request.param == "the same server":
        yield request.getfixturevalue("empty")
        return
    with private_folder() as folder, Embedded.start(folder, needs_redis=False) as embedded:
        yield settings(embedded.postgres(PostgresConfig()), redis_config, tmp_path / "keys-elsewhere")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("directory", "directory", "another server"),
        ("directory", "postgres", "the same server"),
        ("postgres", "postgres", "the same server"),
        ("postgres", "directory", "the same server"),
    ],
    indirect=["place"],
)
async def test_after_a_restore_everybody_logs_in_and_nothing_of_before_opens_anything(
    place, start_service, clock, http, run_cli, paths, tmp_path, before: str, after: str
) -> None:
    as_before = {"KEY_STORE": before, "MASTER_ENCRYPTION_PASSWORD": MASTER_PASSWORD}
    service = await start_service(clock, **as_before)
    alice, bob = Person(http, service.url, "alice"), Person(http, service.url, "bob", b"bob's own password")
    lived = await live(service, alice, clock)
    await bob.register()
    await service.seal()
    checkpoint = tmp_path / "checkpoints.jsonl"
    checkpoint.write_text((await run_cli(service, "audit", "checkpoint")).stdout)
    epoch = service.resources.ring.epoch
    made = await make(run_cli, service, paths)
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o700}
    files = [file for path in paths for file in path.iterdir()]
    assert sorted(file.name for file in files) == ["database.dump", "keyring.json", "manifest.json"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    await service.stop()

    there = {**place, "KEY_STORE": after}
    verified = await run_cli(of(there), "backup", "verify", *options(paths), "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout) == made
    done = await run_cli(of(there), "backup", "restore", *options(paths), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    restored = json.loads(done.stdout)
    assert restored["ended"].keys() == ENDED
    assert all(restored["ended"].values())
    assert restored["ended"]["recovery_codes"] == 10
    assert restored["epoch"] not in (epoch, "")

    clock = HandClock()
    other = await start_service(clock, **there)
    assert other.resources.ring.epoch == restored["epoch"]
    assert await refusals(alice, lived, other.url) == {
        "session": 401,
        "refresh": "invalid_grant",
        "service": 401,
        "recovery": 410,
    }
    bob.url = other.url
    assert (await bob.login()).body["status"] == "authenticated"
    lived.app.clock = clock
    asked = await alice.login(lived.login["device_token"], device={"fingerprint": "a device"})
    for code in (lived.app.code(ahead) for ahead in (-1, 0, 1)):
        assert (await prove(alice, asked, code)).body["code"] == "mfa_failed"
    assert (await prove(alice, asked, lived.codes[0], "recovery_code")).body["code"] == "mfa_failed"
    clock.next_step()
    clock.next_step()
    assert (await prove(alice, asked, lived.app.code())).body["status"] == "authenticated"
    assert [name async for name in other.resources.redis.scan(f"cypher:{restored['epoch']}:session:*")]
    await other.seal()
    proven = await run_cli(other, "audit", "verify", "--checkpoint", str(checkpoint), "--json")
    assert proven.returncode == 0, proven.stderr
    assert json.loads(proven.stdout)["finding"] is None
    [entry] = await other.audit("system.backup.restored")
    assert "recovery codes" in ((await other.details(entry)).note or "")
    assert len(await other.audit("system.backup.created")) == 1
