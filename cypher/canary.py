"""`cypher canary`: plants marked values through the service's own routes, then looks for them where a thief would.

It first proves that it would find one: what it plants in the clear, as a request's id, must turn up in every place.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import msgspec

from cypher.app import Resources, resources
from cypher.backup.programs import environment_of, find_program
from cypher.client import CypherClient, Device, InvalidCredentials
from cypher.clock import Clock, new_bytes, new_token
from cypher.config import Config, LimitsConfig
from cypher.errors import OperatorError
from cypher.serving import running
from cypher.spellings import Search

CHUNK = 1 << 20
CLEAR = "planted in the clear"
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is planted."""

    username: str
    password: str
    address: str
    user_agent: str
    fingerprint: str
    device_name: str
    clear: str  #: a request's id, which stands everywhere as it is

    @classmethod
    def draw(cls) -> "Marks":
        """Draw values that nobody else has."""
        drawn = new_bytes(8).hex()
        return cls(
            username=f"canary.zoë.{drawn}",
            password=new_token(),
            address=f"2001:db8:{drawn[:4]}:{drawn[4:8]}:{drawn[8:12]}:{drawn[12:]}:1:2",
            user_agent=f"CanaryBrowser/{drawn} (plain to see)",
            fingerprint=f"canary-print-{drawn}",
            device_name=f"Canary's laptop {drawn}",
            clear=f"canary-{drawn}-in-the-clear",
        )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One place that was looked at, and what was found in it that should not be."""

    name: str
    size: int  #: bytes
    would_be_found: bool
    found: tuple[str, ...]


class _Log(logging.Handler):
    """Keeps what is logged at any level, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())


async def canary(config: Config, clock: Clock, files: Sequence[Path], marks: Marks) -> list[Place]:
    """Plant and search; `files` are searched as well. Raises OperatorError for a search that would find nothing."""
    with_log = _Log()
    with _logging_to(with_log):
        values = await _plant(config, clock, marks)
    async with resources(config, clock) as open_:
        await open_.redis.set(_planted_key(open_), marks.clear.encode(), px=MINUTE_MS)
        places = [
            await _searched("pg_dump", _dump(open_), values),
            await _searched("Redis, key by key", _redis(open_), values),
            await _searched("the service's log, at every level", _each(with_log.lines), values),
        ]
        places += [await _searched(str(file), _content(file), values) for file in files]
    blind = [place.name for place in places[:3] if not place.would_be_found]
    if blind:
        raise OperatorError(f"What was planted in the clear was not found in: {', '.join(blind)}. Nothing is proven.")
    return places


async def _plant(config: Config, clock: Clock, marks: Marks) -> dict[str, bytes]:
    """Live a life of the marked person on a service of its own; returns everything that was sent or given, by name."""
    http = replace(config.http, trusted_proxies=(ip_network("127.0.0.0/8"),))
    alone = replace(config, http=http, limits=LimitsConfig(), registration="open")
    device = Device(fingerprint=marks.fingerprint, name=marks.device_name)
    headers = {"X-Forwarded-For": marks.address, "User-Agent": marks.user_agent, "X-Request-Id": marks.clear}
    async with (
        running(alone, clock, port=0) as listeners,
        aiohttp.ClientSession(headers=headers) as session,
        CypherClient(f"http://{alone.http.host}:{listeners.public.port}", session=session) as person,
    ):
        await person.register(marks.username, marks.password)
        with suppress(InvalidCredentials):
            await person.login(marks.username, "not the password")
        await person.login(marks.username, marks.password, device=device)
        held = [person.tokens]
        enrolment = await person.enrol_totp()
        await person.refresh()
        await person.activity()
        held.append(person.tokens)
        device_token = person.device_token or ""
    first, last = (tokens for tokens in held if tokens)
    return {
        "username": marks.username.encode(),
        "password": marks.password.encode(),
        "address": marks.address.encode(),
        "user agent": marks.user_agent.encode(),
        "fingerprint": marks.fingerprint.encode(),
        "device name": marks.device_name.encode(),
        "device token": device_token.encode(),
        "access token": first.access_token.encode(),
        "refresh token": first.refresh_token.encode(),
        "newest refresh token": last.refresh_token.encode(),
        "TOTP secret": enrolment.secret.encode(),
        CLEAR: marks.clear.encode(),
    }


async def _searched(name: str, content: AsyncIterator[bytes], values: Mapping[str, bytes]) -> Place:
    search = Search(values)
    async for chunk in content:
        search.feed(chunk)
    found = tuple(sorted(search.found - {CLEAR}))
    return Place(name=name, size=search.size, would_be_found=CLEAR in search.found, found=found)


async def _dump(open_: Resources) -> AsyncIterator[bytes]:
    """Yield what a plain `pg_dump` writes, of all that its owner sees."""
    async with open_.db.connection() as repos:
        server = await repos.backups.get_server_major()
    program = find_program("pg_dump", at_least=server, needs_tls=open_.config.postgres.needs_tls)
    process = await asyncio.create_subprocess_exec(
        str(program.path),
        "--no-password",
        stdout=asyncio.subprocess.PIPE,
        env=environment_of(open_.config.postgres.as_owner()),
    )
    while process.stdout and (chunk := await process.stdout.read(CHUNK)):
        yield chunk
    if await process.wait():
        raise OperatorError("pg_dump has failed; what it says stands above.")


async def _redis(open_: Resources) -> AsyncIterator[bytes]:
    async for key in open_.redis.scan(f"cypher:{open_.ring.epoch}:*"):
        yield key.encode() + b"=" + await open_.redis.content(key) + b"\n"


async def _each(lines: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line + b"\n"


async def _content(file: Path) -> AsyncIterator[bytes]:
    try:
        with file.open("rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, CHUNK):
                yield chunk
    except OSError as exc:
        raise OperatorError(f"{file} cannot be read ({exc.strerror}).") from exc


@contextmanager
def _logging_to(handler: logging.Handler) -> Iterator[None]:
    """Send all that is logged to a handler as well, also what no level would show."""
    loggers = [logging.getLogger(), logging.getLogger("cypher")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _planted_key(open_: Resources) -> str:
    return f"cypher:{open_.ring.epoch}:canary:planted"
