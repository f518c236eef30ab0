"""What runs under the folder of the embedded servers, for somebody who looks: nothing is started, made or held here."""

from dataclasses import replace
from pathlib import Path

from cypher.config import Config, Secret
from cypher.embedded import postgres, valkey
from cypher.embedded.locks import is_held
from cypher.embedded.place import Place


def with_running(config: Config) -> Config:
    """Fill in addresses and secrets of the embedded servers that run; those of others stay as they are."""
    path = config.embedded_path.absolute()
    if config.redis.embedded and _is_running(path, valkey.NAME):
        config = replace(config, redis=valkey.completed(config.redis, Place.at(path.resolve())))
    if config.postgres.embedded and _is_running(path, postgres.NAME):
        config = replace(config, postgres=postgres.completed(config.postgres, Place.at(path.resolve())))
    password = path / "master-password"
    if config.keys.master_password is None and password.exists():
        config = replace(config, keys=replace(config.keys, master_password=Secret(password.read_text().strip())))
    return config


def _is_running(path: Path, name: str) -> bool:
    alive = path / f"{name}.alive"
    return alive.exists() and is_held(alive)  # one that is not there would be made
