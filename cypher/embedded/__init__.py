"""PostgreSQL and Valkey from wheels under one folder, shared by every process that names that folder.

For trying Cypher and for its tests. It must not open a TCP port, nor make a secret beside a key store that exists.

What runs is known from locks, never from process ids, which are used again: each server inherits a locked file from
the process that starts it, and the kernel frees that lock when the last of its processes has ended, however it ended.
"""

from cypher.embedded.joining import with_running
from cypher.embedded.shares import Embedded, complete, kept_password
from cypher.embedded.wheels import postgres_binaries, valkey_server

__all__ = ["Embedded", "complete", "kept_password", "postgres_binaries", "valkey_server", "with_running"]
