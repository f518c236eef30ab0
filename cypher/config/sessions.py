"""How long each thing lives."""

from dataclasses import dataclass
from datetime import timedelta

from cypher.settings import DAY, LONGEST, SettingsReader


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsConfig:
    """How long each thing lives."""

    access_token: timedelta
    refresh_grace: timedelta
    idle: timedelta
    absolute: timedelta
    cache: timedelta
    login_flow: timedelta
    device_trust: timedelta  #: of a device's token, and of its trust where it is trusted


def read_sessions(read: SettingsReader) -> SessionsConfig:
    idle = read.seconds("SESSION_IDLE_SECONDS", 7 * DAY, low=60, high=LONGEST)
    absolute = read.seconds("SESSION_ABSOLUTE_SECONDS", 30 * DAY, low=60, high=LONGEST)
    if idle > absolute:
        read.refuse("SESSION_IDLE_SECONDS must not be greater than SESSION_ABSOLUTE_SECONDS")
    return SessionsConfig(
        access_token=read.seconds("ACCESS_TOKEN_SECONDS", 300, low=1, high=3600),
        refresh_grace=read.seconds("REFRESH_GRACE_SECONDS", 10, low=0, high=60),
        idle=idle,
        absolute=absolute,
        # 30 s is the bound within which a revocation must hold everywhere, whatever a cache says.
        cache=read.seconds("SESSION_CACHE_SECONDS", 30, low=1, high=30),
        login_flow=read.seconds("LOGIN_FLOW_SECONDS", 60, low=1, high=600),
        device_trust=read.seconds("DEVICE_TRUST_SECONDS", 30 * DAY, low=60, high=LONGEST),
    )
