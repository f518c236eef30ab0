"""Second factors: the sealed secret, recovery codes as hashes, and the failures that limits count.

Whether a code fits is for the caller to say; whether it was used before, for one statement here.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from uuid import UUID

from cypher import sqlfiles
from cypher.config.factors import FactorLimits
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.postgres import Executor, Record
from cypher.settings import Limit

sql = sqlfiles.load("factors")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledFactors:
    """What a person has besides the password."""

    totp_enabled: bool
    totp_pending: bool  #: an enrolment waits for its first code
    recovery_codes: int  #: that were not used yet


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCode:
    """A recovery code without its value."""

    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A code that somebody tries: whether it may be looked at, and if not, why and until when."""

    id: UUID
    user_id: UUID
    admitted: bool
    in_a_row: int = 0  #: failures, counting this one; 0 where it was not admitted
    full: Limit | None = None  #: the limit that has no room; None, where none was admitted: too many failures in a row
    wait: timedelta = timedelta(0)  #: until it has
    #: Opens the secret (20 bytes), enrolled or waiting to be confirmed; raises FieldDoesNotOpen. None: there is none.
    open_secret: Callable[[], Awaitable[bytes]] | None = None


class FactorRepository:
    """`users.totp_*`, `recovery_codes` and `factor_failures`. Hold the person's row before anything is changed here.

    A code is accepted for an attempt that was counted before it was looked at, and takes that back: it was no failure.
    """

    def __init__(self, run: Executor, codec: FieldCodec) -> None:
        self._run = run
        self._codec = codec

    async def find_factors(self, user_id: UUID) -> EnrolledFactors | None:
        row = await self._run.one(sql.find_factors, user_id)
        if row is None:
            return None
        return EnrolledFactors(
            totp_enabled=row["totp_enabled"], totp_pending=row["totp_pending"], recovery_codes=row["recovery_codes"]
        )

    async def set_pending_secret(self, user_id: UUID, secret: bytes) -> bool:
        """Begin an enrolment; False, and nothing is changed, where a factor is enrolled."""
        sealed = await self._codec.seal(secret, _cell(user_id))
        return await self._run.execrows(sql.set_pending_secret, user_id, sealed.ciphertext, sealed.key_id) == 1

    async def enable_totp(self, attempt: Attempt, step: int) -> bool:
        """Confirm an enrolment by the code of `step`, which is used up; False where none is waiting."""
        return await self._run.execrows(sql.enable_totp, attempt.id, attempt.user_id, step) == 1

    async def use_step(self, attempt: Attempt, step: int) -> bool:
        """Accept a step; False when it or a later one was accepted before, or no factor is enrolled."""
        return await self._run.execrows(sql.use_step, attempt.id, attempt.user_id, step) == 1

    async def remove_factors(self, user_id: UUID) -> bool:
        """Take away factor, recovery codes and an enrolment that waits; False when there was none."""
        return await self._run.execrows(sql.remove_factors, user_id) == 1

    async def replace_recovery_codes(self, user_id: UUID, code_hashes: Sequence[bytes]) -> None:
        """Put new codes, by their hashes (32 bytes each), in the place of all that there were."""
        await self._run.exec(sql.replace_recovery_codes, user_id, code_hashes)

    async def use_recovery_code(self, attempt: Attempt, code_hash: bytes) -> bool:
        """Accept a recovery code; False when it is unknown or was accepted before."""
        return await self._run.execrows(sql.use_recovery_code, attempt.id, attempt.user_id, code_hash) == 1

    async def list_recovery_codes(self, user_id: UUID) -> list[DrawnCode]:
        """Return the codes that a person has, used or not."""
        return [
            DrawnCode(created_at=row["created_at"], used_at=row["used_at"])
            for row in await self._run.many(sql.list_recovery_codes, user_id)
        ]

    async def list_failures(self, user_id: UUID, most: int) -> list[datetime]:
        """Return when wrong codes were tried, as long as it is known, newest first."""
        return [row["failed_at"] for row in await self._run.many(sql.list_failures, user_id, most)]

    async def insert_attempt(self, attempt_id: UUID, user_id: UUID, limits: FactorLimits) -> Attempt:
        """Count an attempt as a failure where the limits have room for it; for an unknown person they never have."""
        short, day = limits.short, limits.day
        row = await self._run.one(
            sql.insert_attempt,
            attempt_id,
            user_id,
            short and short.hits,
            short and short.window,
            day and day.hits,
            day and day.window,
            limits.total,
        )
        if row is None or row["disabled"]:
            return Attempt(id=attempt_id, user_id=user_id, admitted=False)
        waits = [(row["short_wait"], short), (row["day_wait"], day)]
        wait, full = max((each for each in waits if each[0]), default=(timedelta(0), None), key=itemgetter(0))
        return Attempt(
            id=attempt_id,
            user_id=user_id,
            admitted=row["admitted"],
            in_a_row=row["in_a_row"] or 0,
            full=full,
            wait=wait,
            open_secret=self._opener(row, user_id),
        )

    async def delete_failures(self, user_id: UUID) -> None:
        """Forget every failure of a person that a limit counts."""
        await self._run.execrows(sql.delete_failures, user_id)

    def _opener(self, row: Record, user_id: UUID) -> Callable[[], Awaitable[bytes]] | None:
        if row["totp_secret"] is None:
            return None
        return partial(self._codec.open, Sealed(row["totp_secret"], row["totp_secret_key_id"]), _cell(user_id))


def _cell(user_id: UUID) -> Cell:
    return Cell("users", "totp_secret", user_id)
