"""Every command that README.md and docs/ show is run, page by page from top to bottom, as an operator would type it.

What is not run here stands in ELSEWHERE with where it is: a command that somebody writes into a page is run here by
itself, or fails the test.
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import opaque_ke_py as opaque
import psycopg
import pytest

from cypher.client import CypherClient
from cypher.config import PostgresConfig, RedisConfig
from cypher.embedded import Embedded, postgres_binaries
from tests.acceptance.pages.commands_of_pages import PAGES, ROOT, is_covered, shown, spoken, tabled
from tests.acceptance.pages.operator_home import Home, drawn, home
from tests.processes import private_folder

OPERATIONS, DEPLOYMENT, README = "docs/operations.md", "docs/deployment.md", "README.md"
PASSWORD = "correct horse battery staple"

#: What no test here runs, and who does.
ELSEWHERE = {
    # pages for developers
    "make test": ".ci/run",
    "make test-all": ".ci/run",
    "make check": ".ci/run",
    "make test-faults": "tests/faults/test_every_fault.py",
    ".venv/bin/python -m tests.faults RedisFrozen": "tests/faults/test_every_fault.py",
    "make bench": "tests/acceptance/test_bench.py",
    ".venv/bin/python -m bench": "tests/acceptance/test_bench.py",
    ".venv/bin/python -m bench.shares": "tests/acceptance/test_bench.py",
    "pytest tests/integration/test_email.py": "tests/acceptance/test_pages_for_developers.py",
    "cypher --help": "tests/integration/test_command_imports.py",
    # needs an installation of its own kind
    "sed -n": "tests/acceptance/test_documents.py",
    "opentelemetry-instrument cypher serve": "tests/acceptance/test_traces.py",
    "cypher keys rotate-index": "tests/acceptance/test_keys_cli.py",  # takes more than a minute
    "cypher keys move-store --to postgres": "tests/acceptance/test_move_store.py",
    "cypher backup restore --finish": "tests/acceptance/backup/test_backup_refusals.py",
    "cypher backup restore --from DIR --keys-in-place": "tests/acceptance/backup/test_backup_refusals.py",
}

#: The tables of docs/operations.md as somebody types them who has read their second column too, before the backup.
TYPED = """
cypher keys status
cypher keys status --json
cypher keys rotate
cypher keys rotate --purpose opaque
cypher keys rotate --purpose audit_data --algorithm aes-256-gcm
cypher keys rotate --algorithm aes-256-gcm
cypher keys progress
cypher keys progress --json
cypher keys reencrypt
cypher keys reencrypt --rate 1000
cypher keys destroy ID
cypher audit tail
cypher audit tail -n 50
cypher audit tail --follow
cypher audit search --action crypto.key.rotated
cypher audit search --user NAME --since 2026-01-01 --until 2100-01-01 --limit 2 --json
cypher audit search --user-id ID --cursor CURSOR
cypher audit export -o FILE
cypher audit verify --export FILE
cypher audit verify
cypher audit checkpoint
cypher audit verify --checkpoint checkpoints.jsonl
cypher users create grace
cypher users list
cypher users list --username grace
cypher users list --cursor CURSOR
cypher users show grace
cypher users recovery grace
cypher users reset-factors grace
cypher users lock grace --hours 1
cypher users unlock grace
cypher users disable grace
cypher users enable grace
cypher users delete grace
cypher canary
cypher migrate
openssl rand -base64 32
cypher serve --workers 4
cypher keys change-master --rounds 600000
""".strip().splitlines()

#: What ends otherwise than with 0: a key is kept for ten minutes after it was replaced; somebody stopped looking.
STATUS = {"cypher keys destroy ID": 1, "cypher audit tail --follow": 124}
RUN = [*shown(README), *shown(OPERATIONS), *TYPED, *shown(DEPLOYMENT)]


def elsewhere(command: str) -> str | None:
    """Return where a command is run that is not run here."""
    return next((where for first, where in ELSEWHERE.items() if command.startswith(first)), None)


def test_no_page_names_a_command_that_nobody_runs() -> None:
    named = {command: page for page in PAGES for command in (*shown(page), *tabled(page), *spoken(page))}
    run_here = [command for command in RUN if elsewhere(command) is None]
    for command, page in named.items():
        assert elsewhere(command) or any(is_covered(command, by) for by in run_here), f"{page}: {command}"
    for first, where in ELSEWHERE.items():
        assert any(command.startswith(first) for command in named), f"no page names {first} any more"
        assert (ROOT / where).exists()


# -- the servers, and who types ---------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    for program in ("curl", "make", "openssl", "redis-cli"):
        if shutil.which(program, path="/usr/bin:/bin") is None:
            pytest.skip(f"no {program} here: apt-get install curl make openssl redis-tools")
    with private_folder() as folder:
        yield folder


@contextmanager
def running_servers(folder: Path) -> Iterator[dict[str, str]]:
    """Run servers whose owner may make databases, and nothing is in; yields what `.env` is to say of them."""
    with Embedded.start(folder) as embedded:
        postgres, redis = embedded.postgres(PostgresConfig()), embedded.redis(RedisConfig())
        with psycopg.connect(host=postgres.hosts[0], user="postgres", dbname="postgres", autocommit=True) as superuser:
            superuser.execute("ALTER ROLE cypher_owner CREATEDB")
        yield {
            "POSTGRES_HOST": postgres.hosts[0],
            "POSTGRES_PASSWORD": drawn(),
            "POSTGRES_MIGRATION_USER": postgres.migration_user or "",
            "REDIS_HOST": "",
            "REDIS_URL": redis.url or "",
            "REDIS_PASSWORD": "",
            "AUDIT_CHECKPOINT": "checkpoints.jsonl",
        }


@pytest.fixture
def own_servers(folder: Path) -> Iterator[dict[str, str]]:
    with running_servers(folder / "servers") as settings:
        yield settings


@pytest.fixture
def second_servers(folder: Path) -> Iterator[dict[str, str]]:
    """To these a backup is brought back."""
    with running_servers(folder / "second") as settings:
        yield settings


async def log_in(at: Home) -> None:
    async with CypherClient(at.url) as client:
        assert (await client.login("ada", PASSWORD)).username == "ada"


def type_in(at: Home, command: str, line: str | None = None) -> None:
    """Run a command of a page, or `line`, which is the same with its NAMEs filled in."""
    words = shlex.split(command)
    if "serve" in words or command == "make run":
        at.serve(line or command)
    else:
        at.run(line or command, status=STATUS.get(command, 0), as_=command)


# -- docs/operations.md -------------------------------------------------------------------------------------------


def elsewheres_people(at: Home) -> None:
    """Put down a file of people, and the setup under which they are registered."""
    setup = opaque.server_setup()
    (at.folder / "setup.bin").write_bytes(setup.to_bytes())
    (at.folder / "users.ndjson").write_text('{"username": "lin"}\n')


def in_folder(at: Home, command: str) -> str:
    """Return a command with the folders of its backups under this home."""
    return re.sub(r"(?<= )/(?=backups|keys-backups)", f"{at.folder}/", command)


def filled_in(at: Home, command: str, user_id: str) -> str:
    """Return a command with what its NAMEs stand for, and its folders and addresses under this home."""
    line = re.sub(r"\bNAME\b", "ada", command).replace("127.0.0.1:8090", f"127.0.0.1:{at.environment['ADMIN_PORT']}")
    line = in_folder(at, line)
    line = re.sub(r"\bFILE\b", "trail.jsonl", line)
    if command == "cypher tokens revoke ID":
        [token] = re.findall(r"[0-9a-f-]{36}(?=.*billing)", at.said["cypher tokens list"])
        return line.replace("ID", token)
    if command == "cypher keys destroy ID":
        keys = json.loads(at.said["cypher keys status --json"])["items"]
        return line.replace("ID", next(key["id"] for key in keys if key["purpose"] == "data"))
    if "search" in command and "CURSOR" in command:
        [found] = [said for ran, said in at.said.items() if "--limit 2 --json" in ran]
        line = line.replace("CURSOR", json.loads(found)["next_cursor"])
    if command.endswith("--follow"):
        line = f"timeout -s INT 5 {line}"
    return re.sub(r"\b(ID|CURSOR)\b", user_id, line)


@pytest.mark.slow
async def test_the_page_for_operators_from_top_to_bottom(
    folder: Path, own_servers: dict[str, str], second_servers: dict[str, str]
) -> None:
    with home(folder) as at:
        at.environment["PATH"] = f"{at.folder}/.venv/bin:{at.environment['PATH']}"
        elsewheres_people(at)
        user_id = ""
        for command in shown(OPERATIONS):
            if command.startswith("cypher backup create"):
                await run_the_tables(at, user_id)
            if command == "cypher init-db --create-db":
                at.stop()
                at.edit(**second_servers, KEY_STORE_PATH=str(at.folder / ".keys-again"))
            if elsewhere(command):
                continue
            type_in(at, command, filled_in(at, command, user_id))
            if command.startswith("cp "):
                secrets = {"MASTER_ENCRYPTION_PASSWORD": drawn(), "KEY_STORE_PATH": str(at.folder / ".keys")}
                at.edit(**own_servers, **secrets)
            if command == "cypher serve" and not user_id:
                async with CypherClient(at.url) as client:
                    user_id = str((await client.register("ada", PASSWORD)).id)
                await log_in(at)
            if "--name ada" in command:
                [at.environment["TOKEN"]] = re.findall(r"cys_\S+", at.said[command])
        await log_in(at)
        at.run("cypher audit verify")


async def run_the_tables(at: Home, user_id: str) -> None:
    at.environment["NEW_MASTER_ENCRYPTION_PASSWORD"] = changed = drawn()
    await log_in(at)
    for command in TYPED:
        type_in(at, command, filled_in(at, command, user_id))
    at.edit(MASTER_ENCRYPTION_PASSWORD=changed)
    at.serve("cypher serve")
    await log_in(at)


# -- README.md and docs/deployment.md -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_readme_from_top_to_bottom(folder: Path) -> None:
    with home(folder) as at:
        for command in shown(README):
            type_in(at, command)
        assert "a stolen database opens nothing" in at.said[".venv/bin/cypher demo"]


def play_docker_and_the_editor(at: Home, own_servers: dict[str, str]) -> None:
    """`exec` and `run` run here what they would in a container; else Docker does nothing, for the servers run."""
    secrets = at.folder / "secrets"
    secrets.mkdir()
    (secrets / "redis_password").touch()
    socket = own_servers["REDIS_URL"].removeprefix("unix://")
    at.environment["PGHOST"] = own_servers["POSTGRES_HOST"]
    path = f"PATH={at.folder}/.venv/bin:{postgres_binaries()}:$PATH"
    at.play("docker-compose", f'{path}\ncase $1 in exec) "${{@:3}}" ;; run) cypher "${{@:4}}" ;; esac')
    at.play("redis-cli", f'exec /usr/bin/redis-cli -s {socket} "$@"')
    changes = "".join(f"-e 's|^#*{name}=.*|{name}={value}|' " for name, value in own_servers.items())
    at.play("nano", f'exec sed -i {changes} "$1"')


@pytest.mark.slow
async def test_the_page_of_deployment_from_top_to_bottom(folder: Path, own_servers: dict[str, str]) -> None:
    with home(folder) as at:
        play_docker_and_the_editor(at, own_servers)
        for command in shown(DEPLOYMENT):
            type_in(at, command, in_folder(at, command).replace("/run/secrets", f"{at.folder}/secrets"))
            if command == ".venv/bin/cypher serve":
                async with CypherClient(at.url) as client:
                    await client.register(f"ada-{len(at.said)}", PASSWORD)
        [listed] = [said for command, said in at.said.items() if command.startswith("ls -la")]
        assert re.search(r"^drwx------ .* \.$", listed, re.M)
        assert re.search(r"^-rw------- .* keyring.json$", listed, re.M)
        [memory] = [said for command, said in at.said.items() if command.endswith("info memory'")]
        assert "used_memory_human" in memory
