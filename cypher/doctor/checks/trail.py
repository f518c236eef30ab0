"""The audit trail: whether it is sealed as it grows, whether its end is sound, and who could cut it unseen."""

from datetime import timedelta
from pathlib import Path

from cypher.clock import month_after
from cypher.doctor.findings import Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Checkpoint, read_checkpoints
from cypher.maintenance.verification import Verification
from cypher.parts import keep_of

#: Sealing takes a second or two.
LAG, SEVERE_LAG = timedelta(minutes=1), timedelta(minutes=15)
#: What is proven here; all of it is proven by `cypher audit verify`.
NEWEST_SEALS = 20
#: Enough for some hundred lines at the end of a file.
TAIL_BYTES = 64 * 1024


async def check_audit_lag(at: Patient) -> Found:
    """The audit trail is sealed as it grows."""
    async with (await at.postgres()).connection() as repos:
        lag = await repos.audit_seals.get_lag()
        facts = await repos.server.get_facts()
    age = facts.time - lag.oldest if facts and lag.oldest else timedelta(0)
    if age > LAG:
        what = problem if age > SEVERE_LAG else warning
        yield what(
            f"{lag.entries:,} entries of the audit trail are not sealed, the oldest for {age.total_seconds() / 60:.0f} "
            "minutes: no service runs, or a transaction is open for long (pg_stat_activity, xact_start)."
        )


async def check_audit_seals(at: Patient) -> Found:
    """The newest seals of the audit trail hold (`cypher audit verify` proves all of them)."""
    db, ring = await at.trail(), await at.ring()
    keep = keep_of(at.config.audit)
    done = await Verification(db=db, ring=ring, clock=at.clock, keep=keep).run_newest(NEWEST_SEALS)
    if done.finding is not None:
        yield problem(
            f"{done.finding.sentence} Keep the database as it is, and run `cypher audit verify` with the newest "
            "checkpoint."
        )


async def check_audit_checkpoints(at: Patient) -> Found:
    """Signed checkpoints of the audit trail go to another place, and know no more than the trail."""
    place = at.config.audit.checkpoint
    if place is None:
        yield warning(
            "AUDIT_CHECKPOINT is off: whoever can write to the database can cut off the end of the audit trail unseen. "
            "Set it to a file, stdout or a webhook."
        )
    if not isinstance(place, Path):
        return
    checkpoint = _newest_checkpoint(place)
    async with (await at.postgres()).connection() as repos:
        last = await repos.audit_seals.get_last_seal()
        found = await repos.audit_seals.list_seals(checkpoint.seal_no - 1, 1) if checkpoint else []
    if checkpoint is None:
        if last is not None:
            yield warning(
                f"There is no checkpoint in {place} (AUDIT_CHECKPOINT), and the trail has seals: no service runs with "
                "this setting, or it cannot write there."
            )
        return
    if [seal.statement.digest() for seal in found] != [checkpoint.mark().digest]:
        yield problem(
            f"The checkpoint of {checkpoint.made_at:%Y-%m-%d %H:%M} in {place} knows a seal {checkpoint.seal_no} that "
            f"the trail does not have: it was cut or rewritten. Run `cypher audit verify --checkpoint {place}`."
        )


async def check_audit_retention(at: Patient) -> Found:
    """The audit trail is kept for as long as AUDIT_RETENTION_DAYS says, and has room for the next month."""
    async with (await at.trail()).connection() as repos:
        days = await repos.audit.get_retention_days()
        months = await repos.trail.list_months()
    if days != at.config.audit.retention_days:
        yield warning(
            f"The database keeps the audit trail for {days} days, and AUDIT_RETENTION_DAYS is "
            f"{at.config.audit.retention_days}: run `cypher migrate`."
        )
    coming = f"{month_after(at.clock.now()):%Y_%m}"
    if not {("long", coming), ("short", coming)} <= months:
        yield problem(
            f"The audit trail has no room for the month {coming}, and then nothing can be changed: no service runs, or "
            "it may not make partitions. Run `cypher migrate`, then start it."
        )


def _newest_checkpoint(file: Path) -> Checkpoint | None:
    """Return the last checkpoint of a file; None where there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - TAIL_BYTES))
            *_, last = read_checkpoints(opened.readlines())
    except (OSError, OperatorError):
        return None
    return last
