"""`cypher doctor` on a healthy installation, at the command line, and where servers are away."""

import json
from subprocess import CompletedProcess

import jsonschema_rs
import pytest

from cypher.clock import SystemClock
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.doctor import Level, Patient, examination
from cypher.doctor.checks.keys import check_key_identity, check_key_references
from tests.acceptance.doctor.installation import MASTER_PASSWORD, Installation, lines
from tests.acceptance.service import spawn
from tests.own_redis import opened

#: What docs/operations.md promises to programs.
SCHEMA = {
    "type": "object",
    "required": ["level", "checks"],
    "additionalProperties": False,
    "properties": {
        "level": {"enum": ["ok", "warning", "problem"]},
        "checks": {
            "type": "array",
            "minItems": 30,
            "items": {
                "type": "object",
                "required": ["check", "level", "text"],
                "additionalProperties": False,
                "properties": {
                    "check": {"type": "string", "pattern": "^[a-z_]+$"},
                    "level": {"enum": ["ok", "skipped", "warning", "problem"]},
                    "text": {"type": "string", "minLength": 10, "pattern": "\\.$"},
                },
            },
        },
    },
}


TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"


async def doctor(installation: Installation, *options: str, **settings: str) -> CompletedProcess[str]:
    environment = {**installation.environment, **settings, "TEST_FOLDER": str(installation.folder)}
    process = await spawn(environment, "-m", "cypher", "doctor", *options)
    out, err = await process.communicate()
    return CompletedProcess(options, process.returncode or 0, out.decode(), err.decode())


async def test_all_is_well_on_a_healthy_installation(installation: Installation) -> None:
    report = await installation.examine()
    assert [line for line in report.checks if line.level is not Level.OK] == []
    assert report.level is Level.OK


async def test_a_service_that_is_not_told_of_the_schemas_owner_is_as_healthy(installation: Installation) -> None:
    report = await installation.examine(POSTGRES_MIGRATION_USER="")
    assert [line for line in report.checks if line.level is not Level.OK] == []


@pytest.mark.slow
async def test_it_prints_a_line_for_each_and_status_0(installation: Installation) -> None:
    shown = await doctor(installation)
    assert (shown.returncode, shown.stderr) == (0, "")
    *lines, empty, counts = shown.stdout.splitlines()
    names = [name for name, _ in examination.checks()]
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in names]
    assert (empty, counts) == ("", f"{len(names)} ok, 0 skipped, 0 warning, 0 problem")


@pytest.mark.slow
async def test_programs_read_an_object_and_status_1_when_there_is_a_problem(installation: Installation) -> None:
    shown = await doctor(installation, "--json", POSTGRES_DB="nowhere", AUDIT_CHECKPOINT="off")
    assert (shown.returncode, shown.stderr) == (1, "")
    report = json.loads(shown.stdout)
    jsonschema_rs.validate(SCHEMA, report)
    assert report["level"] == "problem"
    warned = await doctor(installation, "--json", AUDIT_CHECKPOINT="off")
    assert (warned.returncode, json.loads(warned.stdout)["level"]) == (0, "warning")


async def test_what_does_not_need_a_server_that_is_away_is_looked_at_all_the_same(installation: Installation) -> None:
    without = await installation.examine(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="9")
    found = {line.check: line.level for line in without.checks}
    assert found["postgres"] is Level.PROBLEM
    assert {found[name] for name in ("schema", "clock", "key_references", "audit_seals")} == {Level.SKIPPED}
    assert {found[name] for name in ("redis_eviction", "key_store", "key_wrapping", "limits")} == {Level.OK}
    neither = await installation.examine(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="9", REDIS_URL="redis://127.0.0.1:9")
    found = {line.check: line.level for line in neither.checks}
    assert (found["postgres"], found["redis"], found["key_store"]) == (Level.PROBLEM, Level.PROBLEM, Level.OK)
    nowhere = str(installation.folder / "nowhere")
    gone = await installation.examine(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="9", KEY_STORE_PATH=nowhere)
    assert [line.level for line in lines(gone, "key_store")] == [Level.PROBLEM]


async def test_a_check_that_hangs_or_fails_keeps_no_other_from_its_turn(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(at):
        await (await at.postgres()).ping()
        async with (await at.postgres()).connection() as repos:
            await repos.server._run._connection.execute("SELECT pg_sleep(60)")
        yield

    async def fails(at):
        raise KeyError(MASTER_PASSWORD)
        yield

    monkeypatch.setattr(examination.settings, "check_master_password", hangs)
    monkeypatch.setattr(examination.settings, "check_env_file", fails)
    monkeypatch.setattr(examination, "LONGER", {"master_password": 0.1})
    report = await installation.examine()
    found = {line.check: line for line in report.checks if line.level is not Level.OK}
    assert set(found) == {"master_password", "env_file"}
    assert found["master_password"].level is Level.WARNING
    assert found["env_file"].text == "This check has failed itself (KeyError): please report it."


async def test_a_key_that_a_service_makes_meanwhile_is_no_fault(installation: Installation) -> None:
    patient = Patient(installation.config, [], installation.folder / ".env", SystemClock())
    with installation.ring_put_back() as ring:
        await patient.ring()
        made = rotate(ring, Purpose.DATA)
        assert made is not None
        installation.owner("INSERT INTO data_keys (key_id) VALUES (%s)", made.id)
        installation.owner("UPDATE key_store_identity SET generation = generation + 1")
        for check in (check_key_references, check_key_identity):
            assert [finding async for finding in check(patient)] == []
        installation.owner("DELETE FROM data_keys WHERE key_id = %s", made.id)
        installation.owner("UPDATE key_store_identity SET generation = generation - 1")
    await patient.close()


@pytest.mark.slow
async def test_nothing_is_written(installation: Installation) -> None:
    async def state() -> list[object]:
        rows = [installation.owner(f"SELECT * FROM {table}") for (table,) in installation.owner(TABLES)]
        files = sorted((path.name, path.stat().st_mtime_ns) for path in installation.folder.iterdir())
        keys = sorted((path.name, path.stat().st_mtime_ns) for path in installation.keys.iterdir())
        return [rows, files, keys]

    async def names() -> set[str]:
        async with opened(installation.environment["REDIS_URL"]) as redis:
            return {name async for name in redis.scan("*")}

    before, names_before = await state(), await names()
    shown = await doctor(installation)
    assert shown.returncode == 0
    assert await state() == before
    assert await names() <= names_before  # some have reached their end meanwhile


async def test_embedded_servers_are_joined_where_they_run_and_not_started_where_they_do_not(
    installation: Installation,
) -> None:
    nothing = {"POSTGRES_HOST": "", "POSTGRES_USER": "", "POSTGRES_DB": "", "POSTGRES_MIGRATION_USER": ""}
    nothing |= {"REDIS_URL": "", "AUDIT_CHECKPOINT": "off"}
    joined = await installation.examine(**nothing, EMBEDDED_PATH=str(installation.folder / "servers"))
    assert {line.check for line in joined.checks if line.level is not Level.OK} == {"embedded", "audit_checkpoints"}
    elsewhere = installation.folder / "elsewhere"
    away = await installation.examine(**nothing, EMBEDDED_PATH=str(elsewhere))
    assert {line.check for line in away.checks if line.level is Level.PROBLEM} == {"postgres", "redis"}
    assert not elsewhere.exists()
