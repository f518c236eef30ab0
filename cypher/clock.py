"""Time and randomness, handed to whoever needs them, so that a test can hand in its own.

Nothing else outside `cypher.crypto` reads a clock or the system's random source.
"""

import base64
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

#: A time that somebody else has written down: without its zone it says nothing.
Moment = Annotated[datetime, Meta(tz=True)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
#: 48 bits reach beyond the year 9999, where datetime ends; here it begins.
LAST_MILLISECOND = 253_370_764_800_000
#: The bits of a UUID that say version 7 and variant 2, and those of the lower 80 that are left to chance.
UUID7 = (0x7 << 76) | (0x2 << 62)
RANDOM = ~((0xF << 76) | (0x3 << 62)) & ((1 << 80) - 1)


class Clock(Protocol):
    """The time of day and a time that never goes back."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; for durations only."""
        ...


#: What is trusted for so long, must not be trusted longer because the machine was asleep: `time.monotonic` stands still
#: then on Linux.
AWAKE_OR_ASLEEP: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(AWAKE_OR_ASLEEP)


def new_id(clock: Clock) -> UUID:
    """Draw a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits."""
    return id_at(clock.now())


def id_at(moment: datetime) -> UUID:
    """Draw a UUIDv7 of a moment."""
    milliseconds = microseconds_of(moment) // 1000
    return UUID(int=(milliseconds << 80) | UUID7 | (secrets.randbits(80) & RANDOM))


def microseconds_of(moment: datetime) -> int:
    """Return the whole microseconds since 1970, exactly: a float of seconds holds none of them after 2255."""
    # PostgreSQL's infinity, which somebody may have put into a row, has no zone.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND


def moment_of(identifier: UUID) -> datetime:
    """Return the moment in a UUIDv7, to the millisecond below; of any other UUID, some moment."""
    milliseconds = min(identifier.int >> 80, LAST_MILLISECOND)
    return EPOCH + timedelta(milliseconds=milliseconds)


def month_of(moment: datetime) -> datetime:
    """Return when the month of a moment began, in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(moment: datetime) -> datetime:
    """Return when the next month begins, in UTC."""
    month = month_of(moment)
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def new_token(prefix: str = "") -> str:
    """Draw a bearer value: `prefix` and 32 random bytes in base64url (43 characters)."""
    return prefix + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def new_bytes(length: int) -> bytes:
    """Draw `length` random bytes."""
    return secrets.token_bytes(length)
