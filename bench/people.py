"""Real people for a stand, through the repositories: their rows open, their passwords and tokens work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import opaque_ke_py

from cypher.app import Resources
from cypher.auth.access_tokens import AccessTokens
from cypher.auth.opaque import OpaqueServer
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.clock import new_bytes
from cypher.repositories import Repositories
from cypher.repositories.logins import ProvenLogin

PASSWORD = "correct horse battery staple"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
#: Where they all come from.
SOURCE = Source(address="203.0.113.7", user_agent=AGENT, request_id="bench")
DAY = timedelta(days=1)
#: Rows of one transaction.
TOGETHER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A row in `users` with one session of it."""

    user_id: UUID
    username: str
    session_id: UUID
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What one registration left: the same for all people here, since the password is the same."""

    record: bytes
    setup_id: str
    credential_id: bytes


People = Sequence[Person]


def register(open_: Resources) -> Registered:
    """Go through a registration, both sides of it in this process."""
    server, credential_id, password = OpaqueServer(open_.ring), new_bytes(16), PASSWORD.encode()
    started = opaque_ke_py.client_registration_start(password)
    setup_id, response = server.respond_to_registration(bytes(started.get_message()), credential_id)
    finished = opaque_ke_py.client_registration_finish(password, started.get_state(), response)
    record = server.accept_record(bytes(finished.get_message()))
    return Registered(record=record, setup_id=setup_id, credential_id=credential_id)


async def seed(open_: Resources, count: int) -> People:
    """Insert people with a session, an access token and a refresh token each.

    Their ids are drawn at random, not by time, so that their rows lie anywhere in an index.
    """
    registered = register(open_)
    http, lives = open_.config.http, open_.config.sessions
    access = AccessTokens(
        open_.ring,
        open_.clock,
        issuer=http.public_origin,
        audience=http.access_token_audience,
        lifetime=lives.access_token,
    )
    people: list[Person] = []
    while len(people) < count:
        async with open_.upkeep.transaction() as repos:
            people += [await _insert(repos, registered, access) for _ in range(min(TOGETHER, count - len(people)))]
    return people


async def insert_user(repos: Repositories, registered: Registered) -> tuple[UUID, str]:
    """Insert a person who knows PASSWORD; returns id and name."""
    user_id, username = uuid4(), f"person-{new_bytes(6).hex()}"
    inserted = await repos.users.insert_user(
        user_id=user_id,
        username=username,
        opaque_record=registered.record,
        opaque_setup_id=registered.setup_id,
        opaque_credential_id=registered.credential_id,
    )
    assert inserted
    return user_id, username


def login_of(user_id: UUID, session_id: UUID, credential_id: bytes, token_hash: bytes) -> ProvenLogin:
    """Return a login of somebody, as a session is inserted by it."""
    return ProvenLogin(
        session_id=session_id,
        user_id=user_id,
        credential_id=credential_id,
        sessions_revoked_at=None,
        user_agent=SOURCE.user_agent,
        amr=("opaque",),
        ip_address=SOURCE.address,
        aal=1,
        idle=DAY,
        absolute=DAY,
        token_hash=token_hash,
    )


async def _insert(repos: Repositories, registered: Registered, access: AccessTokens) -> Person:
    user_id, username = await insert_user(repos, registered)
    session_id, refresh_token = uuid4(), new_refresh_token()
    login = login_of(user_id, session_id, registered.credential_id, hash_token(refresh_token))
    inserted = await repos.logins.end_login(login)
    assert inserted is not None
    assert inserted.open is not None
    return Person(
        user_id=user_id,
        username=username,
        session_id=session_id,
        access_token=await access.issue(user_id=user_id, session_id=session_id, aal=1, amr=("opaque",)),
        refresh_token=refresh_token,
    )
