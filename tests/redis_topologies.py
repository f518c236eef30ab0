"""A cluster of six Valkey processes, or a primary and its replica under three Sentinels.

`python -m tests.redis_topologies cluster COMMAND...` runs a command with CYPHER_TEST_REDIS naming one.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from cypher.embedded.wheels import valkey_server

HOST = "127.0.0.1"
SLOTS = 16_384
PRIMARIES = 3
NAME = "cypher"
#: How soon a node, or a Sentinel, takes another for lost, in milliseconds.
LOST_MS = 1000


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Node:
    """One process."""

    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, port: int, *options: str) -> "Node":
        place = folder / str(port)
        place.mkdir()
        words = ["--port", str(port), "--bind", HOST, "--save", "", "--dir", str(place), *options]
        process = subprocess.Popen([valkey_server(), *words], stdout=subprocess.DEVNULL)
        node = cls(port, process)
        until(lambda: node.ask("PING") is True)
        return node

    def ask(self, *command: object) -> object:
        with Redis(host=HOST, port=self.port, socket_timeout=2) as redis:
            return redis.execute_command(*command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (RedisError, OSError):
            pass
        assert time.monotonic() < end, "the servers take too long"
        time.sleep(0.02)


@dataclass
class Servers:
    """Some nodes and what REDIS_URL says of them."""

    url: str
    nodes: list[Node]

    def primary(self) -> Node:
        """Return one that is a primary and lives."""
        return next(node for node in self.nodes if role(node) == "master")


def role(node: Node) -> str:
    if node.process.poll() is not None:
        return "dead"
    found = node.ask("INFO", "replication")
    assert isinstance(found, dict)
    return str(found["role"])


@contextmanager
def cluster(folder: Path) -> Iterator[Servers]:
    """Run three primaries with a replica each."""
    ports = free_ports(4 * PRIMARIES)
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(LOST_MS), "--cluster-port")
    with ExitStack() as stack:
        nodes = []
        for port, bus in zip(ports[::2], ports[1::2], strict=True):
            nodes.append(Node.start(folder, port, *options, str(bus)))
            stack.callback(nodes[-1].kill)
        for node, bus in zip(nodes[1:], ports[3::2], strict=True):
            nodes[0].ask("CLUSTER MEET", HOST, node.port, bus)
        share = -(-SLOTS // PRIMARIES)
        for at, primary in enumerate(nodes[:PRIMARIES]):
            primary.ask("CLUSTER ADDSLOTSRANGE", at * share, min((at + 1) * share, SLOTS) - 1)
        for primary, replica in zip(nodes[:PRIMARIES], nodes[PRIMARIES:], strict=True):
            name = _text(primary.ask("CLUSTER MYID"))
            until(lambda replica=replica, name=name: _text(replica.ask("CLUSTER REPLICATE", name)) == "OK")  # type: ignore[misc]
        until(lambda: all(_is_whole(node) for node in nodes))
        places = ",".join(f"{HOST}:{node.port}" for node in nodes)
        yield Servers(f"redis+cluster://{places}", nodes)


def _is_whole(node: Node) -> bool:
    """Tell whether a node knows all slots and, as a primary, that its replica follows it."""
    info = node.ask("CLUSTER INFO")
    state = info if isinstance(info, dict) else dict(line.split(":") for line in _text(info).split())
    follows = node.ask("INFO", "replication")
    assert isinstance(follows, dict)
    linked = follows["connected_slaves"] == 1 if follows["role"] == "master" else follows["master_link_status"] == "up"
    return state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == 2 * PRIMARIES and linked


@contextmanager
def sentinels(folder: Path) -> Iterator[Servers]:
    """Run a primary and a replica, watched by three Sentinels; `nodes` are the two."""
    one, other, *watching = free_ports(5)
    with ExitStack() as stack:
        nodes = [Node.start(folder, one)]
        stack.callback(nodes[0].kill)
        nodes.append(Node.start(folder, other, "--replicaof", f"{HOST} {one}"))
        stack.callback(nodes[1].kill)
        watchers = []
        for port in watching:
            file = folder / f"sentinel-{port}.conf"
            file.write_text(
                f"sentinel monitor {NAME} {HOST} {one} 2\n"
                f"sentinel down-after-milliseconds {NAME} {LOST_MS}\n"
                f"sentinel failover-timeout {NAME} {5 * LOST_MS}\n"
            )
            watchers.append(_sentinel(folder, file, port))
            stack.callback(watchers[-1].kill)
        until(lambda: all(_watches_well(each) for each in watchers))
        places = ",".join(f"{HOST}:{port}" for port in watching)
        yield Servers(f"redis+sentinel://{places}/{NAME}", nodes)


def _sentinel(folder: Path, file: Path, port: int) -> Node:
    words = [valkey_server(), file, "--sentinel", "--port", str(port), "--bind", HOST, "--dir", folder]
    node = Node(port, subprocess.Popen(words, stdout=subprocess.DEVNULL))
    until(lambda: node.ask("PING") is True)
    return node


def _watches_well(sentinel: Node) -> bool:
    """Tell whether a Sentinel knows the replica and the two others."""
    found = sentinel.ask("SENTINEL MASTER", NAME)
    known = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))  # type: ignore[index]
    state = {_text(key): _text(value) for key, value in known.items()}
    return (state["num-slaves"], state["num-other-sentinels"], state["flags"]) == ("1", "2", "master")


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else "OK" if answer is True else str(answer)


def main(kind: str, *command: str) -> int:
    start = {"cluster": cluster, "sentinels": sentinels}[kind]
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as servers:
        return subprocess.run(command, env={**os.environ, "CYPHER_TEST_REDIS": servers.url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
