"""Who reaches the service, and whom it believes: listeners, proxies, limits, webhooks."""

from dataclasses import fields
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from cypher.config import LimitsConfig, Network
from cypher.doctor.findings import Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.settings import is_loopback


async def check_public_origin(at: Patient) -> Found:
    """People meet the service with https, or it is for this machine only."""
    origin = urlsplit(at.config.http.public_origin)
    if origin.scheme == "http" and not is_loopback(origin.hostname or ""):
        yield problem(
            f"PUBLIC_ORIGIN is {at.config.http.public_origin}: tokens cross the wire as they are. Put a proxy that "
            "ends TLS in front, and set PUBLIC_ORIGIN to its https:// address."
        )
    elif origin.scheme == "http" and not is_loopback(at.config.http.host):
        yield warning(
            f"PUBLIC_ORIGIN is for this machine only, and HOST={at.config.http.host} lets other machines in without "
            "TLS: set HOST=127.0.0.1. In a container it has to be so, and the port is published on 127.0.0.1 only."
        )


async def check_proxies(at: Patient) -> Found:
    """Addresses of people come from proxies that are believed for a reason."""
    http = at.config.http
    if http.public_origin.startswith("https:") and not http.trusted_proxies:
        yield problem(
            "PUBLIC_ORIGIN is https, so that a proxy is in front, and TRUSTED_PROXIES is empty: all people count as "
            "one address. Set it to the proxy's address as Cypher sees it."
        )
    for network in http.trusted_proxies:
        if network.prefixlen < _narrowest(network):
            yield problem(
                f"TRUSTED_PROXIES takes {network}: anybody there can say to come from any address, and no limit by "
                "address holds. Name the proxies themselves."
            )
    if http.trusted_proxies and not is_loopback(http.host) and all(map(_is_here, http.trusted_proxies)):
        yield warning(
            f"The proxies are on this machine, and HOST={http.host} lets other machines past them, without TLS: "
            "set HOST=127.0.0.1."
        )


async def check_operators_listener(at: Patient) -> Found:
    """Operators are answered on this machine only."""
    operators = at.config.operators
    if operators.port is not None and not is_loopback(operators.host):
        yield warning(
            f"ADMIN_HOST={operators.host}: other machines reach the operators' listener, and service tokens cross the "
            "wire as they are. Put TLS and a firewall in front, or take ADMIN_HOST=127.0.0.1."
        )


async def check_limits(at: Patient) -> Found:
    """Every limit on attempts is on."""
    limits = at.config.limits
    off = [f"RATE_LIMIT_{field.name.upper()}" for field in fields(LimitsConfig) if getattr(limits, field.name) is None]
    if off:
        yield warning(
            f"Nothing bounds how often is tried what these count: {', '.join(off)}. Set them to hits/seconds."
        )
    factors = at.config.factors.limits
    if factors.short is None and factors.day is None:
        yield warning("TOTP_FAILURES_SHORT and TOTP_FAILURES_DAY are off: set one to hits/seconds.")


async def check_webhooks(at: Patient) -> Found:
    """What is posted to other machines goes by https."""
    recovery, checkpoint = at.config.recovery.webhook, at.config.audit.checkpoint
    if recovery is not None and _is_plain(recovery.url.reveal()):
        yield problem(
            "RECOVERY_WEBHOOK is http: whoever reads a recovery token on its way has the account. Take https."
        )
    if isinstance(checkpoint, str) and _is_plain(checkpoint):
        yield warning(
            "AUDIT_CHECKPOINT is http: its lines are signed, but who stands in between can keep them. Take https."
        )


def _narrowest(network: Network) -> int:
    """A company's network may be this wide; what is wider is the world."""
    return 8 if isinstance(network, IPv4Network) else 16


def _is_here(network: Network) -> bool:
    return network.is_loopback


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
