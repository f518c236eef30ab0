"""What a handler declares beside what it does: what it reads, what it answers, why it may refuse.

`/openapi.json` is made of this. What follows from the route itself (its body is too large, its token is not good) is
not declared: `openapi/contract.py` knows it by rule.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import UnionType

import msgspec
from aiohttp import web

from cypher.errors import CypherError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Media:
    """An answer that is no struct, by its media type."""

    type: str


#: A struct, one of several structs, something else, or nothing at all.
Body = type[msgspec.Struct] | UnionType | Media | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A handler and its declaration."""

    handle: Handler
    answers: Mapping[int, Body]
    reads: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    raises: tuple[type[CypherError], ...]
    takes_cookie: bool = False
    sets_cookie: tuple[int, ...] = ()


def endpoint(
    *,
    answers: Mapping[int, Body],
    reads: type[msgspec.Struct] | None = None,
    query: type[msgspec.Struct] | None = None,
    raises: tuple[type[CypherError], ...] = (),
    takes_cookie: bool = False,
    sets_cookie: tuple[int, ...] = (),
) -> Callable[[Handler], Endpoint]:
    """Declare a handler: its answers by status, the structs of its body and its query, its errors.

    `raises` names what its use case raises beyond what holds for every route of its kind. `takes_cookie` is for the
    refresh token's cookie, `sets_cookie` names the statuses whose answers may set it or let it be forgotten.
    """

    def declare(handler: Handler) -> Endpoint:
        return Endpoint(
            handle=handler,
            answers=answers,
            reads=reads,
            query=query,
            raises=raises,
            takes_cookie=takes_cookie,
            sets_cookie=sets_cookie,
        )

    return declare
