"""Three Sentinels that watch a primary of Valkey and its replica, and failovers of it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from cypher.config.redis import servers_of
from cypher.embedded.wheels import valkey_server
from tests.processes import free_ports, until
from tests.redis_nodes import HOST, LOST_MS, Node, Servers, role

NAME = "cypher"


@contextmanager
def sentinels(folder: Path) -> Iterator[Servers]:
    """Run them; `nodes` are the two."""
    one, other, *watching = free_ports(5)
    with ExitStack() as stack:
        places = ",".join(f"{HOST}:{port}" for port in watching)
        servers = Servers(f"redis+sentinel://{places}/{NAME}", folder, [])
        stack.callback(servers.kill)
        servers.nodes.append(Node.start(folder, one))
        servers.nodes.append(Node.start(folder, other, *_following(one)))
        for port in watching:
            stack.callback(_sentinel(folder, port, one).kill)
        until(lambda: all(map(_misses_nothing, watching)))
        yield servers


def bring_back(servers: Servers) -> None:
    """Let a node that was killed follow the one that has taken its place, as soon as there is one."""
    for at, node in enumerate(servers.nodes):
        other = servers.nodes[1 - at]
        if node.is_dead() and role(other) == "master":
            servers.nodes[at] = Node.start(servers.folder, node.port, *_following(other.port))


def fail_over(url: str) -> float:
    """Kill the primary when its replica has everything; returns the seconds until every Sentinel names the next one."""
    known = servers_of(url)
    assert known is not None
    watching = [port for _, port in known.nodes]
    until(lambda: all(map(_misses_nothing, watching)))
    old = _primary(watching[0])
    with Redis(host=HOST, port=old) as redis:
        redis.set("tests:failover", "", px=1)
        assert redis.wait(1, 5000) == 1
        process = redis.info("server")["process_id"]
    began = time.monotonic()
    os.kill(process, signal.SIGKILL)
    until(lambda: old not in (named := {_primary(port) for port in watching}) and len(named) == 1)
    return time.monotonic() - began


def _following(port: int) -> tuple[str, str]:
    return ("--replicaof", f"{HOST} {port}")


def _sentinel(folder: Path, port: int, primary: int) -> Node:
    file = folder / f"sentinel-{port}.conf"
    file.write_text(
        f"sentinel monitor {NAME} {HOST} {primary} 2\n"
        f"sentinel down-after-milliseconds {NAME} {LOST_MS}\n"
        f"sentinel failover-timeout {NAME} {5 * LOST_MS}\n"
    )
    words = [valkey_server(), file, "--sentinel", "--port", str(port), "--bind", HOST, "--dir", folder]
    node = Node(port, subprocess.Popen(words, stdout=subprocess.DEVNULL))
    until(lambda: node.ask("PING") is True)
    return node


def _primary(sentinel: int) -> int:
    """Return the port of the primary that a Sentinel names."""
    with Redis(port=sentinel, socket_timeout=2) as asked:
        return int(asked.sentinel_master(NAME)["port"])


def _misses_nothing(sentinel: int) -> bool:
    """Tell whether a Sentinel knows both others, and a primary with one replica that follows it."""
    with Redis(port=sentinel, socket_timeout=2) as asked:
        primary, replicas = asked.sentinel_master(NAME), asked.sentinel_slaves(NAME)
    follows = [(each["flags"], each["master-link-status"]) for each in replicas]
    return (primary["num-other-sentinels"], primary["flags"], follows) == (2, "master", [("slave", "ok")])
