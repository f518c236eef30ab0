"""Each process holds a share in the servers under its folder; whoever gives the last one back stops them."""

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cypher.clock import new_token
from cypher.config import Config, PostgresConfig, RedisConfig, Secret
from cypher.embedded import postgres, valkey
from cypher.embedded.folders import write_secret
from cypher.embedded.locks import is_last, locked, share
from cypher.embedded.place import LOOK_SECONDS, Place
from cypher.errors import OperatorError
from cypher.signals import undisturbed

STOP_SECONDS = 30
PASSWORD = "master-password"  # noqa: S105 - the name of a file


def complete(config: Config) -> tuple[Config, "Embedded | None"]:
    """Start what `config` leaves embedded and fill in its addresses and secrets; the caller stops the second part.

    Raises `OperatorError` when that cannot be done, and gives back what was started.
    """
    if not (config.postgres.embedded or config.redis.embedded):
        return config, None
    with ExitStack() as undo:
        needs_postgres, needs_redis = config.postgres.embedded, config.redis.embedded
        embedded = Embedded.start(config.embedded_path, needs_postgres=needs_postgres, needs_redis=needs_redis)
        undo.callback(embedded.stop)
        if needs_redis:
            config = replace(config, redis=embedded.redis(config.redis))
        if needs_postgres:
            config = replace(config, postgres=embedded.postgres(config.postgres))
        if needs_postgres and config.keys.master_password is None:
            password = embedded.master_password(config.keys.path)
            config = replace(config, keys=replace(config.keys, master_password=password))
        undo.pop_all()
    return config, embedded


def kept_password(path: Path) -> Secret | None:
    """Return the master password that servers under `path` keep; starts nothing."""
    file = path / PASSWORD
    return Secret(file.read_text().strip()) if file.is_file() else None


class Embedded:
    """One share."""

    def __init__(self, place: Place) -> None:
        """Hold nothing yet: `start` does."""
        self._place = place
        self._share: int | None = None
        self.holds_postgres = False  #: whether PostgreSQL is one of the servers of this share
        self._holds_redis = False

    @classmethod
    def start(cls, path: Path, *, needs_postgres: bool = True, needs_redis: bool = True) -> Self:
        """Join the servers under `path`, starting (and first making) those that are needed and do not run."""
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = path.resolve()
            with locked(path / "lock"), ExitStack() as undo:
                embedded = cls(Place.at(path))
                undo.callback(embedded._leave)
                embedded._share = share(path / "in-use")
                if needs_postgres:
                    postgres.start(embedded._place)
                    embedded.holds_postgres = True
                if needs_redis:
                    valkey.start(embedded._place)
                    embedded._holds_redis = True
                undo.pop_all()
        except OSError as exc:
            raise OperatorError(f"The embedded servers cannot use {path}: {exc}.") from exc
        return embedded

    def inherited(self) -> "Embedded":
        """Join the same servers after a fork, with a share of this process's own: this one is its parent's."""
        joined = Embedded.start(self.path, needs_postgres=self.holds_postgres, needs_redis=self._holds_redis)
        if self._share is not None:
            os.close(self._share)
            self._share = None
        return joined

    def stop(self) -> None:
        """Give the share back; a second call does nothing."""
        with locked(self.path / "lock"):
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def path(self) -> Path:
        return self._place.path

    def redis(self, config: RedisConfig) -> RedisConfig:
        """Fill in where the server of this share is."""
        return valkey.completed(config, self._place)

    def postgres(self, config: PostgresConfig) -> PostgresConfig:
        """Fill in where the server of this share is."""
        return postgres.completed(config, self._place)

    def master_password(self, key_store: Path | None) -> Secret:
        """Read the password kept here; make one only where no key store waits for the one that it was made with."""
        file = self.path / PASSWORD
        with locked(self.path / "lock"):
            if not file.exists():
                if key_store and key_store.exists() and any(key_store.iterdir()):
                    raise OperatorError(
                        f"{key_store} holds keys, but {file} is gone: put it back, or set MASTER_ENCRYPTION_PASSWORD."
                    )
                write_secret(file, new_token())
        return Secret(file.read_text().strip())

    def _leave(self) -> None:
        """Runs under the folder's lock, so that nobody joins what is being stopped."""
        if self._share is None:
            return
        held, self._share = self._share, None
        with undisturbed():
            try:
                if is_last(held):
                    self._stop_servers()
            finally:
                os.close(held)

    def _stop_servers(self) -> None:
        valkey.ask_to_stop(self._place)
        postgres.ask_to_stop(self._place)
        deadline = time.monotonic() + STOP_SECONDS
        while self._place.is_running(valkey.NAME) or self._place.is_running(postgres.NAME):
            if time.monotonic() > deadline:
                raise OperatorError(f"The embedded servers under {self.path} do not stop; their logs are there.")
            time.sleep(LOOK_SECONDS)
        with suppress(OSError):  # what is left in it is not ours
            self._place.sockets.rmdir()
