"""The embedded Valkey: started and stopped. Every change goes to its append-only file, so that it survives a kill."""

import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from cypher.config import RedisConfig
from cypher.embedded.folders import VALKEY_SOCKET
from cypher.embedded.place import Place
from cypher.embedded.wheels import valkey_server

NAME = "valkey"
ANSWER_SECONDS = 2.0


def completed(config: RedisConfig, place: Place) -> RedisConfig:
    """Fill in how to reach it."""
    return replace(config, url=f"unix://{quote(str(_socket(place)))}")


def start(place: Place) -> None:
    """Start it unless it runs."""
    binary = valkey_server()
    place.open_to(binary.parent)
    if not (place.path / NAME).exists():
        place.make(NAME)
    options = f"--port 0 --unixsocket {_socket(place)} --unixsocketperm 700 --appendonly yes --dir ."
    place.start(
        NAME,
        [str(binary), *options.split(), "--save", ""],
        answers=lambda: _ask(place, b"PING\r\n") == b"+PONG\r\n",
        leftovers=[_socket(place)],
    )


def ask_to_stop(place: Place) -> None:
    """Let it write everything down and end."""
    if place.is_running(NAME):
        _ask(place, b"SHUTDOWN\r\n")


def _socket(place: Place) -> Path:
    return place.sockets / VALKEY_SOCKET


def _ask(place: Place, command: bytes) -> bytes:
    """Return the answer, or nothing if nobody answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(_socket(place)))
            connection.sendall(command)
            return connection.recv(64)
        except OSError:
            return b""
