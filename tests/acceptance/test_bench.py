"""The bench suite as a person runs it: on servers of its own, with everything that it writes."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from bench.servers import connected, started

ROOT = Path(__file__).parents[2]
#: Two cheap ones, one round each.
CHEAP = ("--scenario", "codec:64 B, 1 key", "--scenario", "cache:miss", "--duration", "0", "--rounds", "1")


def bench(folder: Path, *arguments: str, module: str = "bench") -> "subprocess.CompletedProcess[str]":
    """Run it where no `.env` and no `.cypher` are."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_short_run_measures_keeps_draws_and_compares_and_leaves_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- measured -->\n<!-- end of measured -->\n")
    ran = bench(tmp_path, *CHEAP, "--json", "run.json", "--report", "report.html", "--markdown", "page.md")
    assert ran.returncode == 0, ran.stderr
    assert "seal 64 B, 1 key" in ran.stdout
    run = json.loads((tmp_path / "run.json").read_text())
    assert [result["name"] for result in run["results"]] == [
        *("seal 64 B, 1 key", "open 64 B, 1 key"),
        *("miss, one at a time", "miss, 16 at once"),
    ]
    assert all(result["ratio"]["middle"] > 0 for result in run["results"])
    assert {"commit", "machine", "versions", "command"} <= run["setting"].keys()
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert "| miss, 16 at once |" in page.read_text()
    assert {file.name for file in tmp_path.iterdir()} == {"run.json", "report.html", "page.md", "tmp"}
    assert not list((tmp_path / "tmp").iterdir())

    for result in run["results"]:
        result["ratio"] = {name: number / 100 for name, number in result["ratio"].items()}
    (tmp_path / "before.json").write_text(json.dumps(run))
    compared = bench(tmp_path, "--read", "run.json", "--compare", "before.json")
    assert compared.returncode == 1
    assert "4 regressions: more than 15% above before.json." in compared.stdout
    assert bench(tmp_path, "--read", "run.json", "--compare", "run.json").returncode == 0


def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path) -> None:
    for arguments, sentence in (
        (["--scenario", "everything"], "bench: There is no scenario everything, but there are: codec, "),
        (["--read", "none.json"], "bench: none.json cannot be read: No such file or directory."),
    ):
        ran = bench(tmp_path, *arguments)
        assert ran.returncode == 2
        assert ran.stderr.startswith(sentence)
        assert ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_shares_of_a_login_are_told_for_each_server(tmp_path: Path) -> None:
    ran = bench(tmp_path, "32", module="bench.shares")
    assert ran.returncode == 0, ran.stderr
    told = dict(line.split() for line in ran.stdout.splitlines()[1:])
    assert ran.stdout.startswith("32 logins")
    assert all(float(told[name]) > 0 for name in ("service_cpu_s", "postgres_cpu_s", "redis_cpu_s", "wal_bytes"))
    assert float(told["redis_commands"]) >= 3


@pytest.mark.slow
def test_a_database_is_dropped_although_a_connection_is_slow_to_end(tmp_path: Path) -> None:
    with started(tmp_path, {}) as servers, servers.database(migrated=False) as config:
        connection = connected(config)
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        # Longer than PostgreSQL waits for it.
        threading.Timer(7, os.kill, (backend, signal.SIGCONT)).start()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
