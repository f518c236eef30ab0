"""Where it is decided whether a login may be attempted: one place, the same for names that nobody has."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from uuid import UUID

from cypher.auth.rate_limits import RateLimits
from cypher.auth.source import Source, bucket_of
from cypher.config.limits import Category
from cypher.ephemeral.decisions import Hit
from cypher.errors import RateLimited

Hits = tuple[Hit, ...]
FindDevice = Callable[[], Awaitable[UUID | None]]


class LoginLimits:
    """The budgets of a login attempt: the address's, and either the device's or those of the name."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits

    async def admit(self, name: str, source: Source, device: FindDevice | None) -> Hits:
        """Count an attempt on all its budgets, or raise RateLimited and leave it on none.

        `name` is canonical; `device` finds a device that shows a good token of this name's owner. It is asked after
        the address was admitted: a flood of tokens from one address is no flood of queries.
        """
        hits: list[Hit] = []
        bucket = bucket_of(source.address)
        try:
            await self._count(hits, Category.LOGIN_ADDRESS, bucket, name, source)
            known = await device() if device else None
            for category, identifier in _budgets(name, bucket, known):
                await self._count(hits, category, identifier, name, source)
        except RateLimited:
            # One script cannot decide over keys of several slots, so the budgets are asked one after the other. What
            # an attempt has left on the earlier ones would make the next one wait longer: a refused attempt counts
            # nowhere. The name comes last, because it is the one budget that strangers share with the owner: no
            # attempt that is refused for its address ever stands there, not even for the moment until it is taken
            # back. What does stand somewhere for that moment stands on a budget of the sender's own address.
            await self.take_back(hits)
            raise
        return tuple(hits)

    async def _count(self, hits: list[Hit], category: Category, identifier: str, name: str, source: Source) -> None:
        if hit := await self._limits.admit(category, identifier, source, username=name):
            hits.append(hit)

    async def take_back(self, hits: Iterable[Hit]) -> None:
        """Forget an attempt: a finished login was no guess. Other attempts on the same budgets stay."""
        await self._limits.take_back(hits)


def name_at_address(name: str, bucket: str) -> str:
    """Return the identifier of a name at an address; a name holds no space (RFC 8265, section 3.1)."""
    return f"{name} {bucket}"


def _budgets(name: str, bucket: str, device: UUID | None) -> Iterator[tuple[Category, str]]:
    """What is counted beside the address."""
    if device is not None:
        yield Category.LOGIN_DEVICE, str(device)
        return
    yield Category.LOGIN_NAME_ADDRESS, name_at_address(name, bucket)
    yield Category.LOGIN_NAME, name
