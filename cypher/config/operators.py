"""The operators' listener: apart from the public one, for tools of whoever runs the service."""

from dataclasses import dataclass

from cypher.config.http import HttpConfig
from cypher.settings import SettingsReader

#: From the public port to the operators', so that several instances on one machine stay apart by themselves.
STEP = 10
LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorsConfig:
    """Where operators' requests are answered; `port` is None for nowhere."""

    host: str
    port: int | None


def read_operators(read: SettingsReader, http: HttpConfig) -> OperatorsConfig:
    """Read ADMIN_HOST and ADMIN_PORT."""
    host = read.text("ADMIN_HOST") or "127.0.0.1"
    if (read.text("ADMIN_PORT") or "").lower() == "off":
        return OperatorsConfig(host=host, port=None)
    port = read.number("ADMIN_PORT", http.port + STEP, low=1, high=LAST_PORT)
    if port > LAST_PORT:
        read.refuse(f"ADMIN_PORT must be set, or off: PORT + {STEP} is no port")
    if port == http.port:
        read.refuse("ADMIN_PORT must not be PORT: operators are not answered where everybody is")
    return OperatorsConfig(host=host, port=port)
