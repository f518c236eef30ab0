"""`cypher audit`: read the trail, take it elsewhere, prove it."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from cypher.app import Resources
from cypher.auth.trail import Reader, TrailQuery
from cypher.auth.visible import visible
from cypher.commands.running import JsonOption, with_resources
from cypher.commands.trail_output import lines_of, output_to, print_entries, progress, tell
from cypher.crypto import base64url
from cypher.errors import OperatorError, ValidationFailed
from cypher.maintenance.checkpoints import Checkpoint, read_checkpoints
from cypher.maintenance.offline import OfflineVerification
from cypher.maintenance.proof import export_lines
from cypher.maintenance.verification import Verified
from cypher.parts import audit_trail, trail_proof

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The audit trail.")

READER = Reader()
FOLLOW_SECONDS = 1.0
#: Of what is read again and again, so many entries are looked at for new ones.
FOLLOWED = 200

ActionOption = Annotated[str | None, typer.Option(help="One kind of event, as auth.login.failed.")]
UserOption = Annotated[str | None, typer.Option("--user", help="A username; also one that nobody has.")]
UserIdOption = Annotated[UUID | None, typer.Option(help="A person's id; also of somebody who was deleted.")]
SinceOption = Annotated[str | None, typer.Option(help="From this time on, as 2026-11-26 or 2026-11-26T12:00:00Z.")]
UntilOption = Annotated[str | None, typer.Option(help="Before this time.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="A new file; default: standard output.")]


@app.command()
def tail(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=500, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the newest entries, the newest last."""

    async def show(open_: Resources) -> None:
        trail, query = audit_trail(open_), TrailQuery()
        page = await trail.list_entries(query, READER, limit=lines)
        print_entries(page.items[::-1], json=json)
        known = {entry.id for entry in page.items}
        while follow:
            await asyncio.sleep(FOLLOW_SECONDS)
            newest = await trail.peek(FOLLOWED)
            if new := [entry for entry in newest if entry.id not in known]:
                print_entries(new[::-1], json=json)
            known = {entry.id for entry in newest} or known

    with_resources(show)


@app.command()
def search(
    action: ActionOption = None,
    user: UserOption = None,
    user_id: UserIdOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at once.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where an earlier search has stopped.")] = None,
    json: JsonOption = False,
) -> None:
    """Find entries, newest first. That they were read is recorded."""

    async def show(open_: Resources) -> None:
        query = _query(action, user, user_id, since, until)
        page = await audit_trail(open_).list_entries(query, READER, cursor=cursor, limit=limit)
        if json:
            print(visible(msgspec.json.encode(page)))
            return
        print_entries(page.items, json=False)
        if page.next_cursor:
            print(f"There are more: --cursor {page.next_cursor}", file=sys.stderr)

    with _one_sentence():
        with_resources(show)


@app.command()
def export(
    action: ActionOption = None,
    user: UserOption = None,
    user_id: UserIdOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: OutputOption = None,
) -> None:
    """Write the trail as lines of JSON: the whole of it, with seals and public keys, or the entries of a filter."""

    async def write(open_: Resources) -> None:
        query = _query(action, user, user_id, since, until)
        with output_to(output) as file:
            async for line in export_lines(audit_trail(open_), trail_proof(open_), query, READER):
                file.write(line)

    with _one_sentence():
        with_resources(write)


@app.command()
def verify(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoints that left the machine: by them a cut end is known.")
    ] = None,
    exported: Annotated[
        Path | None, typer.Option("--export", help="A whole export, which is checked without database and keys.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Prove that nothing was edited, deleted, reordered, cut or rewritten; the exit status is 1 if something was."""
    with lines_of(checkpoint) as lines:
        vouched = read_checkpoints(lines) if lines is not None else iter(())
        if exported is not None:
            done = _verified_offline(exported, vouched)
            tell(done, json=json, with_checkpoint=checkpoint is not None)
            return

        async def prove(open_: Resources) -> None:
            proof = trail_proof(open_)
            with progress(await proof.total()) as report:
                done = await proof.verify(READER, checkpoints=vouched, report=report)
            tell(done, json=json, with_checkpoint=checkpoint is not None)

        with_resources(prove)


@app.command("checkpoint")
def checkpoint_now() -> None:
    """Print a signed checkpoint of the trail as it is now, to be kept where nobody can change it."""

    async def show(open_: Resources) -> None:
        checkpoint = await trail_proof(open_).checkpoint()
        if checkpoint is None:
            raise OperatorError("Nothing is sealed yet: a running service does that within seconds.")
        print(checkpoint.line().decode(), end="")

    with_resources(show)


def _verified_offline(exported: Path, checkpoints: Iterator[Checkpoint]) -> Verified:
    with lines_of(exported) as lines, progress(None) as report:
        run = OfflineVerification(lines or (), checkpoints)
        done = run.run(report)
    for key_id, public in run.public_keys.items():
        print(f"The export names the key {key_id} ({base64url.encode(public)}).", file=sys.stderr)
    print("What its entries say is not checked without the service's keys; only that they are those.", file=sys.stderr)
    return done


def _query(
    action: str | None, user: str | None, user_id: UUID | None, since: str | None, until: str | None
) -> TrailQuery:
    return TrailQuery(
        action=action, username=user, user_id=user_id, since=_moment(since, "--since"), until=_moment(until, "--until")
    )


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise OperatorError(f"{option} is a time as 2026-11-26 or 2026-11-26T12:00:00Z.") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say what is wrong with an option that the service would answer 422 for."""
    try:
        yield
    except ValidationFailed as exc:
        wrong = " and ".join("--" + field.pointer.strip("/").replace("username", "user") for field in exc.fields)
        raise OperatorError(f"{wrong} is not one that there could be.") from exc
