"""`cypher doctor`: looks at everything that an operator has to see to, and says what is wrong and what to do."""

import os
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from cypher.clock import SystemClock
from cypher.commands.running import JsonOption, run
from cypher.config import read_settings
from cypher.doctor import Level, Line, Patient, Report, examine

app = typer.Typer(add_completion=False)

STYLES = {Level.OK: "green", Level.SKIPPED: "dim", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


@app.command("doctor")
def look(json: JsonOption = False) -> None:
    """Check settings, servers, keys and the audit trail. Writes nothing; exit status 1 if there is a problem."""
    report = run(_report(json=json))
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        counts = ", ".join(f"{sum(line.level is level for line in report.checks)} {level}" for level in Level)
        print(f"\n{counts}")
    if report.level is Level.PROBLEM:
        raise typer.Exit(1)


async def _report(*, json: bool) -> Report:
    config, refused = read_settings(os.environ, Path(".env"))
    patient = Patient(config, refused, Path(".env"), SystemClock())
    console = Console(soft_wrap=True)
    try:
        return await examine(patient, (lambda line: None) if json else (lambda line: console.print(_text(line))))
    finally:
        await patient.close()


def _text(line: Line) -> Text:
    return Text.assemble((f"{line.level:8}", STYLES[line.level]), f" {line.check:19} {line.text}")
