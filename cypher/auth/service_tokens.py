"""Service tokens: bearer values for backends and operators, with scopes, shown once and stored hashed."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.refresh_tokens import hash_token
from cypher.clock import Clock, new_id, new_token
from cypher.errors import InsufficientScope, NotFound, OperatorError, Unauthenticated
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.service_tokens import ServiceToken

PREFIX = "cys_"
#: As long as a person needs to know whose it is; it stands in tables and in the database in the clear.
LONGEST_NAME = 100


class Scope(StrEnum):
    """What a token may do. None includes another: a token is given all that it needs, and no more."""

    INTROSPECT = "introspect"  #: a backend asks whether an access token holds
    VIEWER = "viewer"  #: sees people and keys, changes nothing
    OPERATOR = "operator"  #: acts on people, their sessions and what limits have counted
    AUDITOR = "auditor"  #: reads and verifies the audit trail
    KEY_CUSTODIAN = "key_custodian"  #: replaces keys, moves rows, destroys keys


class ServiceTokens:
    """Make, list, revoke and check them."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, clock: Clock) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock

    async def authenticate(self, bearer: str, *scopes: Scope) -> ServiceToken:
        """Return the living token behind `bearer`, which has one of `scopes`.

        Raises Unauthenticated or InsufficientScope.
        """
        if not bearer.startswith(PREFIX):
            raise Unauthenticated
        async with self._db.connection() as repos:
            token = await repos.service_tokens.find_live(hash_token(bearer))
        if token is None:
            raise Unauthenticated
        if token.scopes.isdisjoint(scopes):
            raise InsufficientScope
        return token

    async def create(self, name: str, scopes: frozenset[str], lifetime: timedelta | None) -> tuple[UUID, str]:
        """Make a token; returns its id and its value, which is nowhere to be had again.

        Raises OperatorError for a scope that is none, and for a name that is no line of text.
        """
        if not scopes or scopes - set(Scope):
            raise OperatorError(f"Name at least one scope out of: {', '.join(Scope)}.")
        if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
            raise OperatorError(f"A token's name is one line of 1 to {LONGEST_NAME} characters.")
        token_id, value = new_id(self._clock), new_token(PREFIX)
        expires_at: datetime | None = self._clock.now() + lifetime if lifetime else None
        async with self._db.transaction() as repos:
            await repos.service_tokens.insert_token(
                token_id=token_id, name=name, token_hash=hash_token(value), scopes=scopes, expires_at=expires_at
            )
            await self._record(repos, Event.SERVICE_TOKEN_CREATED, token_id)
        return token_id, value

    async def list_tokens(self) -> list[ServiceToken]:
        """Return every token that was made, without its value."""
        async with self._db.connection() as repos:
            return await repos.service_tokens.list_tokens()

    async def revoke(self, token_id: UUID) -> None:
        """End a token now; raises NotFound when there is none that lives under this id."""
        async with self._db.transaction() as repos:
            if not await repos.service_tokens.revoke_token(token_id):
                raise NotFound
            await self._record(repos, Event.SERVICE_TOKEN_REVOKED, token_id)

    async def _record(self, repos: Repositories, event: Event, token_id: UUID) -> None:
        await self._audit.record(repos, Happening(event=event, note=str(token_id)), None)
