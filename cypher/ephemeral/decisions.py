"""What a limiter says about one hit, wherever it was counted."""

from dataclasses import dataclass
from datetime import timedelta

from cypher.clock import new_bytes

#: Drawn, so that one hit never stands for another; 96 bits among the few hits of one subject.
MEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One recorded hit: what is needed to take back this one and no other."""

    key: str  #: name of the subject's hits
    member: bytes  #: 12 random bytes

    @classmethod
    def new(cls, key: str) -> "Hit":
        return cls(key=key, member=new_bytes(MEMBER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a hit was admitted, and how the subject stands after it."""

    allowed: bool
    remaining: int
    retry_after: timedelta  #: until a hit would be admitted; zero while `remaining` is not
    reset: timedelta  #: until the oldest counted hit leaves the window; zero when nothing is counted
    hit: Hit | None = None  #: None when refused: a refused hit is not recorded
    first_refusal: bool = False  #: none of this subject came within a window before it
