"""Where it is decided whether a login may be attempted: one place, the same for names that nobody has."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from cypher.auth.rate_limits import RateLimits
from cypher.auth.source import Source, bucket_of
from cypher.config.limits import Category
from cypher.ephemeral.decisions import Hit
from cypher.errors import RateLimited

Hits = tuple[Hit, ...]


class LoginLimits:
    """The budgets of a login attempt: the address's, and either the device's or those of the name."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits

    async def admit(self, name: str, source: Source, device: UUID | None) -> Hits:
        """Count an attempt on all its budgets, or raise RateLimited and leave it on none.

        `name` is canonical; `device` is a device that has shown a good token of this name's owner.
        """
        hits: list[Hit] = []
        try:
            for category, identifier in _budgets(name, bucket_of(source.address), device):
                if hit := await self._limits.admit(category, identifier, source, username=name):
                    hits.append(hit)
        except RateLimited:
            # One script cannot decide over keys of several slots, so the budgets are asked one after the other. What
            # an attempt has left on the earlier ones would make the next one wait longer: a refused attempt counts
            # nowhere. The name comes last, because it is the one budget that strangers share with the owner: no
            # attempt that is refused for its address ever stands there, not even for the moment until it is taken
            # back. What does stand somewhere for that moment stands on a budget of the sender's own address.
            await self.take_back(hits)
            raise
        return tuple(hits)

    async def take_back(self, hits: Iterable[Hit]) -> None:
        """Forget an attempt: a finished login was no guess. Other attempts on the same budgets stay."""
        await self._limits.take_back(hits)


def name_at_address(name: str, bucket: str) -> str:
    """Return the identifier of a name at an address; a name holds no space (RFC 8265, section 3.1)."""
    return f"{name} {bucket}"


def _budgets(name: str, bucket: str, device: UUID | None) -> Iterator[tuple[Category, str]]:
    yield Category.LOGIN_ADDRESS, bucket
    if device is not None:
        yield Category.LOGIN_DEVICE, str(device)
        return
    yield Category.LOGIN_NAME_ADDRESS, name_at_address(name, bucket)
    yield Category.LOGIN_NAME, name
