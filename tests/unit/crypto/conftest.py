import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore

PASSWORD = "correct horse battery staple, and then some more"
ROUNDS = 1000


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture(scope="session")
def vectors() -> dict:
    return json.loads((Path(__file__).parents[2] / "vectors" / "derivations.json").read_text())


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryKeyStore:
    return DirectoryKeyStore(tmp_path / "keys")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring.json"


@pytest.fixture
def password() -> str:
    return PASSWORD


@pytest.fixture
def make_ring(store: DirectoryKeyStore, clock: HandClock) -> Callable[..., KeyRing]:
    def make(algorithm: Algorithm = Algorithm.FERNET, at: DirectoryKeyStore = store) -> KeyRing:
        setup = secrets.token_bytes(128)
        return KeyRing.create(at, PASSWORD, clock, opaque_setup=setup, rounds=ROUNDS, data_algorithm=algorithm)

    return make


@pytest.fixture
def ring(make_ring: Callable[..., KeyRing]) -> KeyRing:
    return make_ring()


class CodecAtOnce:
    """A codec without `await`, so that a property test need not be a coroutine."""

    def __init__(self, codec: FieldCodec, runner: asyncio.Runner) -> None:
        self._codec = codec
        self._runner = runner
        self.ring = codec._ring

    def seal(self, plaintext: bytes, cell: Cell, purpose: Purpose = Purpose.DATA) -> Sealed:
        return self._runner.run(self._codec.seal(plaintext, cell, purpose))

    def open(self, sealed: Sealed, cell: Cell) -> bytes:
        return self._runner.run(self._codec.open(sealed, cell))


@pytest.fixture(params=[Algorithm.FERNET, Algorithm.AES_256_GCM])
def codec(request: pytest.FixtureRequest, make_ring: Callable[..., KeyRing]) -> Iterator[CodecAtOnce]:
    with asyncio.Runner() as runner:
        yield CodecAtOnce(FieldCodec(make_ring(request.param)), runner)


@pytest.fixture
def index(ring: KeyRing) -> BlindIndex:
    return BlindIndex(ring)
