"""Settings of the second factor: how long its flows live, and how often it may be tried."""

from dataclasses import dataclass
from datetime import timedelta

from cypher.settings import DAY, Limit, SettingsReader


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorLimits:
    """Failures of one account that are let pass, apart from the password's; None for a limit that is off."""

    short: Limit | None
    day: Limit | None
    total: int  #: in a row; at so many the factor is disabled until an operator resets it


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsConfig:
    """What `Config` holds of it."""

    flow: timedelta  #: from a right password to a right code
    fresh: timedelta  #: for so long a proof opens what asks for a fresh one
    limits: FactorLimits


def read_factors(read: SettingsReader) -> FactorsConfig:
    return FactorsConfig(
        flow=read.seconds("MFA_FLOW_SECONDS", 300, low=1, high=3600),
        fresh=read.seconds("REAUTHENTICATION_SECONDS", 600, low=1, high=DAY),
        limits=FactorLimits(
            short=read.limit("TOTP_FAILURES_SHORT", Limit(hits=5, window=timedelta(minutes=15))),
            day=read.limit("TOTP_FAILURES_DAY", Limit(hits=20, window=timedelta(days=1))),
            # A hundred guesses at six digits, each good for three steps: one in 3,300. No setting turns this off.
            total=read.number("TOTP_FAILURES_TOTAL", 100, low=1, high=1000),
        ),
    )
