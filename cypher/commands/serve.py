"""`cypher serve`: one process, or several behind one port."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cypher import logs, metrics, serving
from cypher.clock import SystemClock
from cypher.commands.running import run, servers
from cypher.commands.sentences import in_a_sentence
from cypher.config import Config
from cypher.embedded import Embedded
from cypher.listening import require_free
from cypher.metrics_folder import metrics_folder
from cypher.settings import bracketed
from cypher.workers import Workers, beat

app = typer.Typer(add_completion=False)

#: At the defaults each has up to 30 connections to PostgreSQL.
MOST_WORKERS = 64


@app.command()
def serve(
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Processes behind one port; about one for each core.")
    ] = 1,
) -> None:
    """Serve until Ctrl-C; on a machine without PostgreSQL and Redis, on embedded ones."""
    with servers() as (config, embedded):
        logs.set_up(config.log)
        applied = _migrated(config) if embedded and embedded.holds_postgres else []
        announce = partial(print, announcement(config, embedded, applied), flush=True)
        if workers == 1:
            run(serving.serve(config, SystemClock(), announce))
        else:
            _serve_together(workers, config, embedded, announce)


def _serve_together(count: int, config: Config, embedded: Embedded | None, announce: Callable[[], None]) -> None:
    require_free(config)
    with metrics_folder(SystemClock()) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        shared = replace(config, http=replace(config.http, is_shared=True), metrics_folder=folder)
        status = Workers(
            count,
            partial(_be_worker, shared, embedded),
            announce,
            delay_seconds=config.http.shutdown_delay.total_seconds(),
            on_end=partial(metrics.forget, folder=folder),
        ).run()
    if status:
        raise SystemExit(status)


def _be_worker(config: Config, embedded: Embedded | None, number: int, link: socket.socket, is_first: bool) -> None:
    """Serve as one of several: on a shared port, and for operators as the first of them alone."""
    operators = config.operators if number == 0 else replace(config.operators, port=None)
    own = replace(config, operators=operators)
    metrics.share()
    with in_a_sentence(), embedded.inherited() if embedded else nullcontext():
        run(serving.serve(own, SystemClock(), partial(beat, link), link=link, is_first=is_first))


def _migrated(config: Config) -> list[str]:
    # Not at the top: yoyo is a tenth of a start, and on servers of one's own the service never migrates.
    from cypher.commands.migrate import migrated

    return migrated(config)


def announcement(config: Config, embedded: Embedded | None, applied: list[str]) -> str:
    """Say in a few lines where the service is, what it stands on and what to try next."""
    url = f"http://{bracketed(config.http.host)}:{config.http.port}"
    lines = [f"Cypher answers on {url}"]
    if embedded and embedded.holds_postgres:
        made = "made" if applied else "found again"
        lines += [
            f"  data, keys and their password: {embedded.path} ({made}; for trying, it protects no disk)",
            "  on servers of your own: copy .env.example to .env",
        ]
    elif embedded:
        lines.append(f"  the cache: {embedded.path} (Valkey; set REDIS_HOST for one of your own)")
    if config.operators.port is not None:
        where = f"http://{bracketed(config.operators.host)}:{config.operators.port}"
        lines.append(f"  operators:    {where}/docs (with a token of `cypher tokens create`)")
    # With the address: what PORT said here, the other terminal need not know.
    lines += [f"  see it work:  {Path(sys.executable).parent / 'cypher'} demo --url {url}", "  stop it:      Ctrl-C"]
    return "\n".join(lines)
