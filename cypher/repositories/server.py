"""The server itself and the role that asks, as they say of themselves: what an operator may have to see to."""

from dataclasses import dataclass
from datetime import datetime

from cypher import sqlfiles
from cypher.postgres import Executor

sql = sqlfiles.load("server")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """One connection's view."""

    version: int  #: as 150004
    time: datetime
    has_tls: bool
    is_standby: bool
    places: int  #: connections for roles like this one
    taken: int
    role_limit: int | None
    database_limit: int | None
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRights:
    """What the role that asks could do; False also where there is no trail yet."""

    is_superuser: bool
    owns_trail: bool
    rewrites_trail: bool


class ServerRepository:
    """No table of ours."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def get_facts(self) -> ServerFacts | None:
        row = await self._run.one(sql.get_facts)
        return ServerFacts(**dict(row)) if row else None

    async def get_rights(self) -> RoleRights | None:
        row = await self._run.one(sql.get_rights)
        return RoleRights(**{name: bool(value) for name, value in row.items()}) if row else None
