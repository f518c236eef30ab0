"""What a limiter says about one hit, wherever it was counted.

Made for each hit: a frozen dataclass takes five times as long, and a `timedelta` that nobody asks for 0.4 µs.
"""

from datetime import timedelta

import msgspec

from cypher.clock import new_bytes

#: Drawn, so that one hit never stands for another; 96 bits among the few hits of one subject.
MEMBER = 12


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded hit: what is needed to take back this one and no other."""

    key: str  #: name of the subject's hits
    member: bytes  #: 12 random bytes

    @classmethod
    def new(cls, key: str) -> "Hit":
        return cls(key=key, member=new_bytes(MEMBER))


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a hit was admitted, and how the subject stands after it."""

    allowed: bool
    remaining: int
    retry_after_us: int
    reset_us: int
    hit: Hit | None = None  #: None when refused: a refused hit is not recorded
    first_refusal: bool = False  #: none of this subject came within a window before it

    @property
    def retry_after(self) -> timedelta:
        """Time until a hit would be admitted; zero while `remaining` is not."""
        return timedelta(microseconds=self.retry_after_us)

    @property
    def reset(self) -> timedelta:
        """Time until the oldest counted hit leaves the window; zero when nothing is counted."""
        return timedelta(microseconds=self.reset_us)
