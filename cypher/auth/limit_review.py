"""What an operator sees and does about limits. Identifiers are keyed in Redis: only those asked for can be shown."""

from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.login_limits import name_at_address
from cypher.auth.source import Source, bucket_of
from cypher.config.limits import Category, LimitsConfig
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.errors import ValidationFailed
from cypher.operator_errors import Absent, Unfit
from cypher.postgres import Database
from cypher.repositories import Repositories

#: What else than an address a category is counted by.
FORMS = {
    Category.LOGIN_NAME: "a username",
    Category.RECOVERY_NAME: "a username",
    Category.LOGIN_DEVICE: "a device's id",
    Category.LOGIN_NAME_ADDRESS: "a username and an address ('alice 192.0.2.7')",
}


class CountedCategory(msgspec.Struct, frozen=True, kw_only=True):
    """A category as a whole; `limit` and `window_seconds` are None while it is off."""

    category: Category
    limit: int | None
    window_seconds: int | None
    subjects: int  #: counted now, about
    refused: int  #: of these, refused within the last window


class CountedCategories(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CountedCategory]


class CountedSubject(msgspec.Struct, frozen=True, kw_only=True):
    """One subject; times are seconds from now."""

    category: Category
    identifier: str  #: in its canonical form
    limit: int
    window_seconds: int
    remaining: int
    retry_after: float  #: until an attempt would be admitted
    reset: float  #: until the oldest counted attempt leaves the window


class ResetSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What a reset has done."""

    category: Category
    identifier: str  #: in its canonical form
    was_counted: bool


class LimitReview:
    """List, show, reset."""

    def __init__(self, *, limiter: RateLimiter, config: LimitsConfig, db: Database[Repositories], audit: Audit) -> None:
        self._limiter = limiter
        self._config = config
        self._db = db
        self._audit = audit

    async def list_categories(self) -> CountedCategories:
        """Return every category with its limit and how many are counted; raises RedisUnavailable."""
        subjects, refused = await self._limiter.count_subjects()
        items = [
            CountedCategory(
                category=category,
                limit=limit.hits if limit else None,
                window_seconds=limit.seconds if limit else None,
                subjects=subjects[category],
                refused=refused[category],
            )
            for category in Category
            for limit in [self._config.of(category)]
        ]
        return CountedCategories(items=items)

    async def show(self, category: Category, identifier: str) -> CountedSubject:
        """Return how one subject stands; raises Unfit for what is none, Absent for a limit that is off."""
        limit = self._config.of(category)
        if limit is None:
            raise Absent(f"The limit of {category} is off: nothing is counted.")
        canonical = canonical_identifier(category, identifier)
        seen = await self._limiter.peek(
            identifier=canonical, limit=limit.hits, window_seconds=limit.seconds, category=category
        )
        return CountedSubject(
            category=category,
            identifier=canonical,
            limit=limit.hits,
            window_seconds=limit.seconds,
            remaining=seen.remaining,
            retry_after=seen.retry_after.total_seconds(),
            reset=seen.reset.total_seconds(),
        )

    async def reset(self, category: Category, identifier: str, source: Source | None = None) -> ResetSubject:
        """Forget what was counted of one subject. Raises Unfit for what is none, RedisUnavailable.

        Recorded first: were Redis to fail after it, the trail would tell of a reset that must be asked for again, and
        never miss one that was done.
        """
        canonical = canonical_identifier(category, identifier)
        async with self._db.transaction() as repos:
            await self._audit.record(repos, await _happening(repos, category, canonical), source)
        was_counted = await self._limiter.reset(identifier=canonical, category=category)
        return ResetSubject(category=category, identifier=canonical, was_counted=was_counted)


async def _happening(repos: Repositories, category: Category, canonical: str) -> Happening:
    """Return what a reset is recorded as: a name as its owner's, so that it can be erased, or else as an index."""
    name: str | None = None
    rest: str | None = canonical
    if category in (Category.LOGIN_NAME, Category.RECOVERY_NAME, Category.LOGIN_NAME_ADDRESS):
        name, _, address = canonical.partition(" ")
        rest = address or None
    user = await repos.users.find_by_username(name) if name else None
    return Happening(
        event=Event.RATE_LIMIT_RESET,
        reason=category.value,
        user_id=user.id if user else None,
        username=name,
        note=rest,
    )


def canonical_identifier(category: Category, text: str) -> str:
    """Return the form in which a subject is counted: a name, an address, a device's id, or `NAME ADDRESS`."""
    try:
        match category:
            case Category.LOGIN_NAME | Category.RECOVERY_NAME:
                return usernames.normalise(text)
            case Category.LOGIN_DEVICE:
                return str(UUID(text))
            case Category.LOGIN_NAME_ADDRESS:
                name, _, address = text.partition(" ")
                return name_at_address(usernames.normalise(name), bucket_of(address.strip()))
            case _:
                return bucket_of(text)
    except (ValueError, ValidationFailed) as exc:
        sentence = f"{category} counts by {FORMS.get(category, 'an address')}: this is none."
        raise Unfit("identifier", sentence) from exc
