"""Real rows for tests, made by the repositories themselves."""

import hashlib
import pickle
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import psycopg

from cypher.clock import SystemClock, new_bytes, new_id
from cypher.config import PostgresConfig
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.devices import DeviceInfo
from cypher.repositories.logins import ProvenLogin
from cypher.repositories.refresh_tokens import TokenMetadata
from cypher.repositories.users import User

CLOCK = SystemClock()
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CREDENTIAL_ID = b"c" * 16
METADATA = TokenMetadata(ip_address="203.0.113.7", user_agent="Browser/1.0")


@dataclass(frozen=True, slots=True)
class Family:
    """A session with its first refresh token."""

    user_id: UUID
    session_id: UUID
    token: str


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def new_token() -> str:
    return f"cyr_{secrets.token_urlsafe(32)}"


async def insert_person(db: Database[Repositories], username: str | None = None) -> User:
    async with db.transaction() as repos:
        user = await repos.users.insert_user(
            user_id=new_id(CLOCK),
            username=username or f"person-{secrets.token_hex(8)}",
            opaque_record=secrets.token_bytes(192),
            opaque_setup_id="opaque-20260101-00000000",
            opaque_credential_id=CREDENTIAL_ID,
        )
    assert user is not None
    return user


async def insert_device(
    db: Database[Repositories], user_id: UUID, fingerprint: str = "fingerprint", name: str | None = "laptop"
) -> UUID:
    async with db.transaction() as repos:
        return await repos.devices.insert_device(
            device_id=new_id(CLOCK),
            user_id=user_id,
            fingerprint=fingerprint,
            name=name,
            info=DeviceInfo(platform="Plan 9", model="canary-model"),
        )


def login_of(user_id: UUID, session_id: UUID, **changes: object) -> ProvenLogin:
    """Return what ends a login of somebody whom `insert_person` has made."""
    made = ProvenLogin(
        session_id=session_id,
        user_id=user_id,
        credential_id=CREDENTIAL_ID,
        sessions_revoked_at=None,
        user_agent="Browser/1.0",
        amr=("opaque",),
        ip_address="203.0.113.7",
        aal=1,
        idle=HOUR,
        absolute=DAY,
        token_hash=new_bytes(32),
    )
    return replace(made, **changes)


async def insert_family(
    db: Database[Repositories],
    user_id: UUID | None = None,
    *,
    device_id: UUID | None = None,
    fingerprint: str | None = None,
) -> Family:
    owner = user_id or (await insert_person(db)).id
    session_id, token = new_id(CLOCK), new_token()
    login = login_of(owner, session_id, token_hash=hash_of(token), device_id=device_id, device_fingerprint=fingerprint)
    async with db.transaction() as repos:
        known = await repos.users.get_login_record(owner)
        if known is not None:
            changes = {"credential_id": known.opaque_credential_id, "sessions_revoked_at": known.sessions_revoked_at}
            login = replace(login, **changes)
        inserted = await repos.logins.end_login(login)
        assert inserted is not None
        assert inserted.open is not None
    return Family(owner, session_id, token)


def for_a_child(config: PostgresConfig) -> str:
    """Return what another process of a test needs to connect, for its command line."""
    return pickle.dumps(config).hex()


def owner_of(config: PostgresConfig) -> PostgresConfig:
    """The same database as the schema's owner."""
    return replace(config, user=config.migration_user or config.user, password=config.migration_password)


def connect_as_owner(config: PostgresConfig) -> psycopg.Connection:
    """Open a connection with the rights of the schema's owner, for what no repository does; each statement commits."""
    owner = owner_of(config)
    return psycopg.connect(
        host=owner.hosts[0],
        port=owner.port,
        user=owner.user,
        password=owner.password.reveal() if owner.password else None,
        dbname=owner.database,
        autocommit=True,
    )


def connect_as_service(config: PostgresConfig) -> psycopg.Connection:
    """Open a connection with the rights of the running service; each statement commits."""
    return connect_as_owner(replace(config, migration_user=config.user, migration_password=config.password))


def as_owner(config: PostgresConfig, statement: str, *args: object) -> list[tuple[object, ...]]:
    """Run one statement with the rights of the schema's owner, such as ageing a row; returns its rows."""
    with connect_as_owner(config) as connection:
        cursor = connection.execute(statement.encode(), args or None)
        return cursor.fetchall() if cursor.description else []
