"""A time that stands still until it is moved, for a service and its database alike: days pass in no time, exactly.

Redis keeps the machine's time: what it forgets by itself within seconds is not forgotten sooner.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from cypher.clock import SystemClock
from cypher.config import PostgresConfig

#: Functions are looked up along the search path: `now()` in a query becomes this one, and so do the columns' defaults.
IN_THE_DATABASE = """
    CREATE SCHEMA clock;
    CREATE TABLE clock.hand (at TIMESTAMPTZ NOT NULL);
    INSERT INTO clock.hand VALUES (pg_catalog.now());
    CREATE FUNCTION clock.now() RETURNS TIMESTAMPTZ STABLE LANGUAGE sql AS 'SELECT at FROM clock.hand';
    GRANT USAGE ON SCHEMA clock TO PUBLIC;
    GRANT SELECT ON clock.hand TO PUBLIC;
    DO $$
    DECLARE
        owned RECORD;
    BEGIN
        FOR owned IN
            SELECT table_schema, table_name, column_name
              FROM information_schema.columns
             WHERE column_default = 'now()'
        LOOP
            EXECUTE format('ALTER TABLE %I.%I ALTER %I SET DEFAULT clock.now()',
                           owned.table_schema, owned.table_name, owned.column_name);
        END LOOP;
        EXECUTE format('ALTER DATABASE %I SET search_path = clock, pg_catalog, public', current_database());
    END $$;
"""


@dataclass
class VirtualTime(SystemClock):
    """The clock of the service; `owner` is a connection of the schema's owner."""

    owner: asyncpg.Connection
    begin: datetime
    seconds: int = 0  #: since `begin`

    @classmethod
    async def install(cls, config: PostgresConfig) -> "VirtualTime":
        """Take over the time of a migrated database to which no service is connected yet."""
        user, password = config.migration_user or config.user, config.migration_password or config.password
        owner = await asyncpg.connect(
            host=config.hosts[0],
            port=config.port,
            user=user,
            password=password.reveal() if password else None,
            database=config.database,
        )
        await owner.execute(IN_THE_DATABASE)
        clock = cls(owner, datetime.now(UTC).replace(microsecond=0))
        await clock.set(0)
        return clock

    async def set(self, seconds: int) -> None:
        """Let it be that many seconds after the beginning."""
        self.seconds = seconds
        await self.owner.execute("UPDATE clock.hand SET at = $1", self.now())

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self.seconds)
