"""A cluster of six Valkey processes, or a primary and two replicas under three Sentinels.

`python -m tests.redis_topologies cluster COMMAND...`, or `sentinels`, runs a command with CYPHER_TEST_REDIS naming one.
Under Sentinels it may kill the primary again and again: each comes back as a replica of its successor.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.processes import free_ports, until
from tests.redis_nodes import HOST, LOST_MS, Node, Servers, text
from tests.redis_sentinels import bring_back, sentinels

#: Tests that keep the machine busy must not look like a loss: nobody waits for more failovers than were asked for.
BUSY_MS = 3000
SLOTS = 16_384
PRIMARIES = 3


@contextmanager
def cluster(folder: Path, lost_ms: int = LOST_MS) -> Iterator[Servers]:
    """Run three primaries with a replica each. Who is silent for `lost_ms` is taken for lost."""
    ports = free_ports(4 * PRIMARIES)
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(lost_ms), "--cluster-port")
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
            name = text(primary.ask("CLUSTER MYID"))
            until(lambda replica=replica, name=name: text(replica.ask("CLUSTER REPLICATE", name)) == "OK")  # type: ignore[misc]
        until(lambda: all(_is_whole(node) for node in nodes))
        places = ",".join(f"{HOST}:{node.port}" for node in nodes)
        yield Servers(f"redis+cluster://{places}", folder, nodes)


def _is_whole(node: Node) -> bool:
    """Tell whether a node knows all slots and, as a primary, that its replica follows it."""
    info = node.ask("CLUSTER INFO")
    state = info if isinstance(info, dict) else dict(line.split(":") for line in text(info).split())
    follows = node.ask("INFO", "replication")
    assert isinstance(follows, dict)
    linked = follows["connected_slaves"] == 1 if follows["role"] == "master" else follows["master_link_status"] == "up"
    return state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == 2 * PRIMARIES and linked


def main(kind: str, *command: str) -> int:
    start = partial({"cluster": cluster, "sentinels": sentinels}[kind], lost_ms=BUSY_MS)
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as servers:
        with subprocess.Popen(command, env={**os.environ, "CYPHER_TEST_REDIS": servers.url}) as running:
            while running.poll() is None:
                if kind == "sentinels":
                    bring_back(servers)
                time.sleep(0.1)
        return running.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
