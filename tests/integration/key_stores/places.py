"""The two places where a key ring can be, as tests look at them: past the store, and with its back turned."""

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cypher.clock import SystemClock
from cypher.config import PostgresConfig
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import DirectoryKeyStore, KeyStore
from cypher.postgres_keys import PostgresKeyStore
from tests.factories import as_owner

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery staple, and then some more"
CLOCK = SystemClock()

#: `store` and `argument` are given; what follows prints, and waits for a line where it must.
CHILD = """
import pickle, sys
from cypher.clock import SystemClock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.rotation import rotate

store, password, argument = pickle.loads(bytes.fromhex(sys.argv[1])), sys.argv[2], sys.argv[3]
"""


class Place(Protocol):
    """Where a ring is kept. `path` is only for a second, foreign one of the same kind."""

    def store(self) -> KeyStore:
        """Return a store of its own over this place, as another process has one."""

    def content(self) -> object:
        """Return all that is there, so that any change shows."""

    def set(self, field: str, value: object) -> None:
        """Damage one field of the ring (`generation`), or of its first key (`key.state`)."""

    def empty(self) -> None:
        """Take the ring away."""


@dataclass(frozen=True)
class DirectoryPlace:
    path: Path

    def store(self) -> DirectoryKeyStore:
        return DirectoryKeyStore(self.path)

    def content(self) -> object:
        return {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in self.path.glob("*")}

    def set(self, field: str, value: object) -> None:
        file = self.path / "keyring.json"
        ring = json.loads(file.read_text())
        at = ring["keys"][0] if field.startswith("key.") else ring
        at[field.removeprefix("key.")] = value
        file.write_text(json.dumps(ring))

    def empty(self) -> None:
        (self.path / "keyring.json").unlink()


@dataclass(frozen=True)
class PostgresPlace:
    config: PostgresConfig

    def store(self) -> PostgresKeyStore:
        return PostgresKeyStore(self.config)

    def content(self) -> object:
        ring = as_owner(self.config, "SELECT r.xmin, r::text FROM key_store r")
        return ring, as_owner(self.config, "SELECT k.xmin, k::text FROM encryption_keys k ORDER BY position")

    def set(self, field: str, value: object) -> None:
        if field.startswith("key."):
            column = field.removeprefix("key.")
            as_owner(self.config, f"UPDATE encryption_keys SET {column} = %s WHERE position = 0", value)
        else:
            column = "check_value" if field == "check" else field
            as_owner(self.config, f"UPDATE key_store SET {column} = %s", value)

    def empty(self) -> None:
        as_owner(self.config, "DELETE FROM key_store")


def make_ring(store: KeyStore) -> KeyRing:
    """Make a ring of few rounds, to be quick."""
    return KeyRing.create(store, PASSWORD, CLOCK, opaque_setup=bytes(128), rounds=1000)


def open_ring(store: KeyStore) -> KeyRing:
    return KeyRing.open(store, PASSWORD, CLOCK)


def given_to_a_child(place: Place, argument: str) -> list[str]:
    """Return what CHILD reads from its command line."""
    return [pickle.dumps(place.store()).hex(), PASSWORD, argument]


def child(place: Place, script: str, argument: str = "") -> "subprocess.Popen[str]":
    """Run a script on the store in a process of its own."""
    command = [sys.executable, "-c", CHILD + script, *given_to_a_child(place, argument)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def at_once(place: Place, script: str, argument: str = "", *, processes: int) -> list[str]:
    """Run a script in several processes that begin together (after printing "ready"); return the words they print."""
    running = [child(place, script, argument) for _ in range(processes)]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    return "".join(outputs).split()
