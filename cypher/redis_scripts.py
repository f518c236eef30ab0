"""Lua scripts: each is sent once and then named by its digest."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Protocol

from redis.exceptions import NoScriptError

from cypher.redis_pipe import Pipe, Word


class Script(Protocol):
    """A Lua script: call it with its KEYS and ARGV."""

    async def __call__(self, keys: Sequence[str], args: Sequence[Word]) -> object: ...


def script_over(pipe: Pipe, source: str) -> Script:
    """Return a callable for a script's text; it raises the driver's errors."""
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def run(keys: Sequence[str], args: Sequence[Word]) -> object:
        try:
            return await pipe.ask("EVALSHA", digest, len(keys), *keys, *args)
        except NoScriptError:
            await pipe.ask("SCRIPT", "LOAD", source)
            return await pipe.ask("EVALSHA", digest, len(keys), *keys, *args)

    return run
