"""What operators' requests hold. Their answers are the objects that the commands' `--json` prints."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cypher.auth import trail
from cypher.clock import Moment
from cypher.config.limits import Category
from cypher.crypto.keyring import Algorithm, Purpose

Identifier = Annotated[
    str,
    Meta(description="A username, an address, a device's id, or for `login-name-address` a username and an address."),
]


#: What PostgreSQL and every time zone can hold.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    username: Annotated[str, Meta(description="The whole name, in any of its spellings.")] | UnsetType = UNSET
    cursor: Annotated[UUID, Meta(description="`next_cursor` of the page before.")] | UnsetType = UNSET


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class RevocationFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of what is said must hold; `all` stands alone. A condition that is not known is refused, not ignored."""

    user_id: UUID | None = None
    aal: Literal[1, 2] | None = None
    created_before: Moment | None = None
    seen_before: Moment | None = None
    all: bool = False

    def __post_init__(self) -> None:
        said = [each for each in (self.user_id, self.aal, self.created_before, self.seen_before) if each is not None]
        if self.all is bool(said):
            raise ValueError("say which, or all")
        if any(not EARLIEST <= moment <= LATEST for moment in (self.created_before, self.seen_before) if moment):
            raise ValueError("out of range")


class RevocationOrder(msgspec.Struct, frozen=True, kw_only=True):
    filter: RevocationFilter
    dry_run: Annotated[bool, Meta(description="Only count them.")] = False


class TrailQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; all of what is said must hold."""

    action: Annotated[str, Meta(max_length=64, description="One kind of event, as `auth.login.failed`.")] | None = None
    user_id: UUID | None = None
    username: Annotated[str, Meta(description="The whole name, also one that nobody has.")] | None = None
    since: Moment | None = None
    until: Annotated[Moment, Meta(description="Before this moment.")] | None = None

    def __post_init__(self) -> None:
        if any(not EARLIEST <= moment <= LATEST for moment in (self.since, self.until) if moment):
            raise ValueError("out of range")

    def asked(self) -> trail.TrailQuery:
        """Return what the use case takes."""
        return trail.TrailQuery(
            action=self.action, user_id=self.user_id, username=self.username, since=self.since, until=self.until
        )


class TrailPage(TrailQuery, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=trail.MOST_ON_A_PAGE)] = 100
    cursor: Annotated[str, Meta(max_length=64, description="`next_cursor` of the page before.")] | None = None


class KeyRotation(msgspec.Struct, frozen=True, kw_only=True):
    purpose: Purpose = Purpose.DATA
    algorithm: Annotated[Algorithm | None, Meta(description="The cipher from now on; null: as before.")] = None


class ReencryptionPace(msgspec.Struct, frozen=True, kw_only=True):
    rate: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Values a second at most; null: as fast as it goes."),
    ] = None


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Both or neither."""

    category: Category | UnsetType = UNSET
    identifier: Identifier | UnsetType = UNSET


class SubjectQuery(msgspec.Struct, frozen=True, kw_only=True):
    category: Category
    identifier: Identifier
