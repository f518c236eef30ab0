"""A cell sealed and opened, beside bare Fernet with one key."""

from collections.abc import AsyncIterator
from uuid import UUID

from cryptography.fernet import Fernet

from bench.harness import Scenario
from cypher.app import Resources
from cypher.crypto.codec import Cell

CALLS = 200


async def scenarios(open_: Resources) -> AsyncIterator[Scenario]:
    codec, fernet = open_.codec, Fernet(Fernet.generate_key())
    cell = Cell("users", "totp_secret", UUID(int=7))
    for size in (64, 4096):
        text = bytes(size)
        sealed, token = await codec.seal(text, cell), fernet.encrypt(text)
        assert await codec.open(sealed, cell) == text

        async def seal(text: bytes = text) -> None:
            for _ in range(CALLS):
                await codec.seal(text, cell)

        async def open_cell(sealed: object = sealed) -> None:
            for _ in range(CALLS):
                await codec.open(sealed, cell)  # type: ignore[arg-type]

        async def encrypt(text: bytes = text) -> None:
            for _ in range(CALLS):
                fernet.encrypt(text)

        async def decrypt(token: bytes = token) -> None:
            for _ in range(CALLS):
                fernet.decrypt(token)

        yield Scenario(name=f"seal {size} B", work=seal, floor=encrypt, floor_name="Fernet.encrypt", size=CALLS)
        yield Scenario(name=f"open {size} B", work=open_cell, floor=decrypt, floor_name="Fernet.decrypt", size=CALLS)
