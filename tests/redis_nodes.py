"""One process of Valkey among several, and what a test asks of it."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from cypher.embedded.wheels import valkey_server
from tests.processes import until

HOST = "127.0.0.1"
#: How soon a node, or a Sentinel, takes another for lost, in milliseconds.
LOST_MS = 1000


def text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else "OK" if answer is True else str(answer)


@dataclass
class Node:
    """One process."""

    port: int
    words: list[str]  #: its command line
    process: "subprocess.Popen[bytes]" = field(init=False)

    @classmethod
    def start(cls, folder: Path, port: int, *options: str) -> "Node":
        """Start one with a folder of its own."""
        place = folder / str(port)
        place.mkdir()
        node = cls(port, ["--port", str(port), "--bind", HOST, "--save", "", "--dir", str(place), *options])
        node.run()
        return node

    def run(self, *more: str) -> None:
        """Start its process, again when it was killed; return when it answers."""
        self.process = subprocess.Popen([valkey_server(), *self.words, *more], stdout=subprocess.DEVNULL)
        until(lambda: self.ask("PING") is True)

    def ask(self, *command: object) -> object:
        with Redis(host=HOST, port=self.port, socket_timeout=2) as redis:
            return redis.execute_command(*command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def is_dead(self) -> bool:
        return self.process.poll() is not None


@dataclass
class Servers:
    """Some nodes and what REDIS_URL says of them."""

    url: str
    folder: Path
    nodes: list[Node]

    def primary(self) -> Node:
        """Return one that is a primary and lives."""
        return next(node for node in self.nodes if role(node) == "master")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


def role(node: Node) -> str:
    if node.is_dead():
        return "dead"
    found = node.ask("INFO", "replication")
    assert isinstance(found, dict)
    return str(found["role"])
