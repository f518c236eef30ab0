"""What a backup asks of a database as a whole, and the end of what it must not bring back to life. Opens nothing."""

from dataclasses import dataclass
from datetime import datetime

from cypher import sqlfiles
from cypher.postgres import Executor

sql = sqlfiles.load("backups")
deployment_sql = sqlfiles.load("deployment")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedByRestore:
    """How many of each were ended; refresh tokens end with their sessions."""

    sessions: int
    device_tokens: int
    recovery_tokens: int
    service_tokens: int
    recovery_codes: int
    totp_steps: int  #: people whose codes of the present minute are used up


class BackupRepository:
    """The database as a whole."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def hold_snapshot(self) -> str:
        """Keep this transaction, which has done nothing yet, at the database of now; return the snapshot's name.

        The transaction may then do nothing for as long as it takes.
        """
        await self._run.exec(sql.hold_snapshot)
        await self._run.exec(deployment_sql.stay_idle)
        return str(await self._run.value(sql.export_snapshot))

    async def get_server_major(self) -> int:
        """Return the server's version, as 18."""
        version = await self._run.value(sql.get_server_version)
        return version // 10_000 if isinstance(version, int) else 0

    async def count_tables(self) -> int:
        """Return how many tables there are; 0 in an empty database."""
        count = await self._run.value(sql.count_tables)
        return count if isinstance(count, int) else 0

    async def is_ours(self) -> bool:
        """Tell whether this is a database of Cypher's, of any version."""
        return bool(await self._run.value(sql.is_ours))

    async def get_newest_moment(self) -> datetime | None:
        """Return when the last thing happened of which the trail knows."""
        moment = await self._run.value(sql.get_newest_moment)
        return moment if isinstance(moment, datetime) else None

    async def close_functions(self) -> None:
        """Take from everybody the rights on functions that PostgreSQL gives unasked."""
        await self._run.exec(sql.close_functions)

    async def end_all(self, totp_step: int) -> EndedByRestore:
        """End what could have been ended or used since a backup; codes of steps up to `totp_step` with it."""
        return EndedByRestore(
            sessions=await self._run.execrows(sql.end_sessions),
            device_tokens=await self._run.execrows(sql.end_device_tokens),
            recovery_tokens=await self._run.execrows(sql.end_recovery_tokens),
            service_tokens=await self._run.execrows(sql.end_service_tokens),
            recovery_codes=await self._run.execrows(sql.delete_recovery_codes),
            totp_steps=await self._run.execrows(sql.use_up_steps, totp_step),
        )
