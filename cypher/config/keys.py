"""The master password, the key store, and when its keys are due."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from cypher.master_password import problems_of
from cypher.settings import LONGEST, Secret, SettingsReader

KeyStoreKind = Literal["directory", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysConfig:
    """The key store and when its keys are due; no master password only while PostgreSQL is embedded.

    `path` is where a directory is or would be; None only when the store is in PostgreSQL.
    """

    master_password: Secret | None
    store: KeyStoreKind
    path: Path | None
    rotation_age: timedelta
    rotation_operations: int
    destroy_delay: timedelta
    reencrypt_background: bool


def read_keys(read: SettingsReader, embedded_path: Path | None) -> KeysConfig:
    """`embedded_path` is where keys go when PostgreSQL is embedded; only then may they be made without being asked."""
    password, path = read.secret("MASTER_ENCRYPTION_PASSWORD"), read.text("KEY_STORE_PATH")
    store: KeyStoreKind = read.choice("KEY_STORE", "directory", ("directory", "postgres"))
    if password is not None:
        for problem in problems_of(password.reveal(), beside_the_data=store == "postgres"):
            read.refuse(f"MASTER_ENCRYPTION_PASSWORD {problem}")
    elif embedded_path is None:
        read.refuse("MASTER_ENCRYPTION_PASSWORD is needed when POSTGRES_HOST is set")
    if path is None and embedded_path is None and store == "directory":
        read.refuse("KEY_STORE_PATH is needed when POSTGRES_HOST is set, or KEY_STORE=postgres")
    return KeysConfig(
        master_password=password,
        store=store,
        path=Path(path) if path else embedded_path,
        rotation_age=timedelta(days=read.number("KEY_ROTATION_DAYS", 90, low=1, high=3650)),
        rotation_operations=read.number("KEY_ROTATION_OPERATIONS", 1_000_000, low=1, high=10**12),
        # Another process may go on sealing for 30 s with a key that has left `active`, in a transaction that lasts.
        destroy_delay=read.seconds("KEY_DESTROY_DELAY_SECONDS", 600, low=60, high=LONGEST),
        reencrypt_background=read.choice("REENCRYPT_BACKGROUND", "on", ("on", "off")) == "on",
    )
