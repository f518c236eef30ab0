"""The master password, the key store, and when its keys are due."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from cypher.settings import LONGEST, Secret, SettingsReader

MASTER_PASSWORD_LENGTH = 32
#: What documents show for the master password. Long enough to pass by length, known to everybody.
EXAMPLE_PASSWORDS = frozenset({"your_super_secure_master_password"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysConfig:
    """The key store and when its keys are due; no master password only while PostgreSQL is embedded."""

    master_password: Secret | None
    store: Literal["directory"]
    path: Path
    rotation_age: timedelta
    rotation_operations: int
    destroy_delay: timedelta
    reencrypt_background: bool


def read_keys(read: SettingsReader, embedded_path: Path | None) -> KeysConfig:
    """`embedded_path` is where keys go when PostgreSQL is embedded; only then may they be made without being asked."""
    password, path = read.secret("MASTER_ENCRYPTION_PASSWORD"), read.text("KEY_STORE_PATH")
    if password is not None:
        check_master_password(read, "MASTER_ENCRYPTION_PASSWORD", password.reveal())
    elif embedded_path is None:
        read.refuse("MASTER_ENCRYPTION_PASSWORD is needed when POSTGRES_HOST is set")
    if path is None and embedded_path is None:
        read.refuse("KEY_STORE_PATH is needed when POSTGRES_HOST is set")
    return KeysConfig(
        master_password=password,
        store=read.choice("KEY_STORE", "directory", ("directory",)),
        path=Path(path) if path else embedded_path or Path(),
        rotation_age=timedelta(days=read.number("KEY_ROTATION_DAYS", 90, low=1, high=3650)),
        rotation_operations=read.number("KEY_ROTATION_OPERATIONS", 1_000_000, low=1, high=10**12),
        # Another process may go on sealing for 30 s with a key that has left `active`, in a transaction that lasts.
        destroy_delay=read.seconds("KEY_DESTROY_DELAY_SECONDS", 600, low=60, high=LONGEST),
        reencrypt_background=read.choice("REENCRYPT_BACKGROUND", "on", ("on", "off")) == "on",
    )


def check_master_password(read: SettingsReader, name: str, password: str) -> None:
    """Refuse a password that could be guessed; `name` is what the operator calls it."""
    if len(password) < MASTER_PASSWORD_LENGTH:
        read.refuse(f"{name} must have {MASTER_PASSWORD_LENGTH} characters or more")
    if password.strip().casefold() in EXAMPLE_PASSWORDS:
        read.refuse(f"{name} is the example from the documentation: draw your own")
