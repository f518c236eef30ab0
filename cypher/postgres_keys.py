"""The key store in PostgreSQL (`KEY_STORE=postgres`), for several hosts without a shared volume.

A key store is synchronous and used from threads, so this speaks psycopg and has no part in the service's pool. Each
call makes a connection of its own: the store is looked at every few seconds, and a kept one would have to be mended.
"""

from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.crypto import keystore
from cypher.crypto.stored import StoredRing
from cypher.errors import KeyStoreRefused
from cypher.operator_errors import KeyStoreAway
from cypher.sqlfiles import Query

Connection = psycopg.Connection[tuple[object, ...]]

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 2
#: A server that is gone without a word is noticed after this time and not after the kernel's quarter of an hour.
SILENCE_SECONDS = 5

sql = sqlfiles.load("encryption_keys")


class PostgresKeyStore:
    """`key_store` and `encryption_keys`, reached as the service's own role."""

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._where = f"PostgreSQL {','.join(config.hosts)}:{config.port}/{config.database}"
        self._locked = False
        self._found: int | None = None  #: the generation that the holder of the lock replaces; None: there is no ring

    def read(self) -> StoredRing | None:
        with self._transaction("read") as connection:
            ring = _value(connection, sql.get_ring)
        return None if ring is None else keystore.ring_in(str(ring).encode(), f"The key store at {self._where}")

    def stamp(self) -> Hashable:
        try:
            with self._transaction("read") as connection:
                stamp = _value(connection, sql.get_stamp)
        except KeyStoreRefused:
            return None
        return None if stamp is None else str(stamp)

    def prepare(self) -> None:
        """Do nothing: a migration has made the tables."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self._translated("locked"):
            connection = self._connect()
        with closing(connection):
            self._take_lock(connection)
            try:
                self._locked = True
                yield
            finally:
                self._locked = False
                # A lock that was lost meanwhile is no error: what was written, was written in the place of what was
                # there when it was taken.
                with suppress(psycopg.Error):
                    connection.rollback()

    def write(self, ring: StoredRing) -> None:
        self._require_lock()
        with self._transaction("written") as connection:
            values = _values_of(ring)
            if self._found is None:
                written = _execute(connection, sql.insert_ring, *values)
            else:
                written = _execute(connection, sql.replace_ring, *values, self._found)
            self._require_ours(written.rowcount)
            _execute(connection, sql.delete_keys)
            psycopg.RawCursor(connection).executemany(sql.insert_key.sql.encode(), _keys_of(ring))
        self._found = ring.generation

    def remove(self) -> None:
        self._require_lock()
        with self._transaction("removed") as connection:
            self._require_ours(_execute(connection, sql.delete_ring, self._found).rowcount)
        self._found = None

    def describe(self) -> str:
        return self._where

    def _take_lock(self, connection: Connection) -> None:
        """Begin the transaction that holds the lock, and look what there is to replace."""
        # The time for the statement only has to be longer than the time for the lock.
        with self._translated("locked"):
            _limit(connection, keystore.LOCK_SECONDS + STATEMENT_SECONDS, keystore.LOCK_SECONDS)
            try:
                _execute(connection, sql.take_lock)
            except psycopg.errors.LockNotAvailable:
                raise keystore.lock_is_taken(self._where) from None
            found = _value(connection, sql.get_generation)
        self._found = found if isinstance(found, int) else None

    def _require_lock(self) -> None:
        if not self._locked:
            raise RuntimeError("the key store is written without its lock")

    def _require_ours(self, changed: int) -> None:
        if changed != 1:
            raise KeyStoreRefused(
                f"Another process has written the key store at {self._where} although it was locked here: the "
                "connection that held the lock was lost. Try again. Nothing was changed."
            )

    @contextmanager
    def _transaction(self, done: str) -> Iterator[Connection]:
        """Lend a connection in a transaction that is committed, durably, at the end of the block."""
        with self._translated(done), self._connect() as connection:
            _limit(connection, STATEMENT_SECONDS, STATEMENT_SECONDS)
            yield connection

    def _connect(self) -> Connection:
        config = self._config
        return psycopg.connect(
            make_conninfo(**config.tls()),
            host=",".join(config.hosts),
            port=config.port,
            user=config.user,
            password=config.password.reveal() if config.password else None,
            dbname=config.database,
            target_session_attrs="read-write" if len(config.hosts) > 1 else "any",
            connect_timeout=CONNECT_SECONDS,
            keepalives_idle=SILENCE_SECONDS - 2,
            keepalives_interval=1,
            keepalives_count=2,
            tcp_user_timeout=SILENCE_SECONDS * 1000,
            application_name="cypher key store",
            prepare_threshold=None,  # a pool in between would meet statements that another connection has prepared
        )

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        """Turn the driver's errors into a sentence for the operator; never the driver's text, which quotes values."""
        # The answer to a COMMIT can be lost.
        outcome = "Nothing was changed." if done in ("read", "locked") else "Look at it before you try again."
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            raise KeyStoreRefused(
                f"The key store at {self._where} cannot be {done}: its tables are not there, or "
                f"{self._config.user} has no rights on them. Run `cypher migrate`. Nothing was changed."
            ) from None
        except psycopg.Error as exc:
            passes = isinstance(exc, psycopg.OperationalError | psycopg.errors.ReadOnlySqlTransaction)
            raise (KeyStoreAway if passes else KeyStoreRefused)(
                f"The key store at {self._where} cannot be {done} ({exc.sqlstate or type(exc).__name__}). Is "
                f"PostgreSQL running, and are the POSTGRES_ settings right? {outcome}"
            ) from None


def _limit(connection: Connection, statement_seconds: float, lock_seconds: float) -> None:
    times = (f"{seconds * 1000:.0f}" for seconds in (statement_seconds, lock_seconds))
    _execute(connection, sql.limit_transaction, *times)


def _execute(connection: Connection, query: Query, *args: object) -> "psycopg.RawCursor[tuple[object, ...]]":
    return psycopg.RawCursor(connection).execute(query.sql.encode(), args)


def _value(connection: Connection, query: Query) -> object:
    row = _execute(connection, query).fetchone()
    return row[0] if row else None


def _values_of(ring: StoredRing) -> tuple[object, ...]:
    kdf = ring.kdf
    return ring.version, ring.store_id, ring.generation, ring.epoch, kdf.name, kdf.salt, kdf.rounds, ring.check


def _keys_of(ring: StoredRing) -> list[tuple[object, ...]]:
    return [
        (
            key.id,
            ring.store_id,
            position,
            key.purpose.value,
            key.algorithm.value,
            key.state.value,
            key.created_at,
            key.activated_at,
            key.wrapped,
        )
        for position, key in enumerate(ring.keys)
    ]
