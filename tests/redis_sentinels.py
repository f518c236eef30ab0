"""Three Sentinels that watch a primary of Valkey and two replicas, and failovers of it.

Two, so that one is left after a failover: an end of a session is acknowledged when a replica has it.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from cypher.config.redis import servers_of
from tests.processes import free_ports, until
from tests.redis_nodes import HOST, LOST_MS, Node, Servers, role

NAME = "cypher"
SENTINELS = 3
REPLICAS = 2


@contextmanager
def sentinels(folder: Path, lost_ms: int = LOST_MS) -> Iterator[Servers]:
    """Run them; `nodes` are the three that hold data. Who is silent for `lost_ms` is taken for lost."""
    one, *others = free_ports(1 + REPLICAS)
    watching = free_ports(SENTINELS)
    with ExitStack() as stack:
        places = ",".join(f"{HOST}:{port}" for port in watching)
        servers = Servers(f"redis+sentinel://{places}/{NAME}", folder, [])
        stack.callback(servers.kill)
        servers.nodes.append(Node.start(folder, one))
        servers.nodes.extend(Node.start(folder, port, *_following(one)) for port in others)
        for port in watching:
            stack.callback(_sentinel(folder, port, one, lost_ms).kill)
        until(lambda: all(map(_misses_nothing, watching)))
        yield servers


def bring_back(servers: Servers) -> None:
    """Let a node that was killed follow the one that has taken its place, as soon as there is one."""
    dead = [node for node in servers.nodes if node.is_dead()]
    primaries = [node for node in servers.nodes if role(node) == "master"] if dead else []
    for node in dead if primaries else []:
        node.run(*_following(primaries[0].port))


def order_failover(url: str) -> None:
    """Tell one of the Sentinels to promote a replica beside a primary that lives."""
    known = servers_of(url)
    assert known is not None
    with Redis(port=known.nodes[0][1], socket_timeout=2) as asked:
        asked.execute_command("SENTINEL", "FAILOVER", NAME)


def fail_over(url: str) -> float:
    """Kill the primary when its replicas have everything; returns the seconds until there is another.

    By then the old one follows it as well: until replicas follow for good, the end of a session may stay unconfirmed.
    """
    known = servers_of(url)
    assert known is not None
    watching = [port for _, port in known.nodes]
    old = _when_whole(watching)
    with Redis(host=HOST, port=old) as redis:
        redis.set("tests:failover", "", px=1)
        assert redis.wait(REPLICAS, 5000) == REPLICAS
        process = redis.info("server")["process_id"]
    began = time.monotonic()
    os.kill(process, signal.SIGKILL)
    until(lambda: old not in (named := {_primary(port) for port in watching}) and len(named) == 1, seconds=60)
    seconds = time.monotonic() - began
    _when_whole(watching)
    return seconds


def _when_whole(watching: list[int]) -> int:
    """Wait until all Sentinels see one primary and all replicas follow it; return its port."""
    until(lambda: all(map(_misses_nothing, watching)) and len(set(map(_primary, watching))) == 1, seconds=60)
    primary = _primary(watching[0])
    with Redis(host=HOST, port=primary) as redis:
        until(lambda: bool(redis.ping()) and redis.wait(REPLICAS, 100) == REPLICAS)
    return primary


def _following(port: int) -> tuple[str, str]:
    return ("--replicaof", f"{HOST} {port}")


def _sentinel(folder: Path, port: int, primary: int, lost_ms: int) -> Node:
    file = folder / f"sentinel-{port}.conf"
    file.write_text(
        f"sentinel monitor {NAME} {HOST} {primary} 2\n"
        f"sentinel down-after-milliseconds {NAME} {lost_ms}\n"
        f"sentinel failover-timeout {NAME} {5 * lost_ms}\n"
        f"sentinel parallel-syncs {NAME} {REPLICAS}\n"
    )
    node = Node(port, [str(file), "--sentinel", "--port", str(port), "--bind", HOST, "--dir", str(folder)])
    node.run()
    return node


def _primary(sentinel: int) -> int:
    """Return the port of the primary that a Sentinel names."""
    with Redis(port=sentinel, socket_timeout=2) as asked:
        return int(asked.sentinel_master(NAME)["port"])


def _misses_nothing(sentinel: int) -> bool:
    """Tell whether a Sentinel knows the others, and a primary with all replicas that follow it."""
    with Redis(port=sentinel, socket_timeout=2) as asked:
        primary, replicas = asked.sentinel_master(NAME), asked.sentinel_slaves(NAME)
    follows = [(each["flags"], each["master-link-status"]) for each in replicas]
    found = (primary["num-other-sentinels"], primary["flags"], follows)
    return found == (SENTINELS - 1, "master", [("slave", "ok")] * REPLICAS)
