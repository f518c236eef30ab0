"""What operators' requests hold. Their answers are the objects that the commands' `--json` prints."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cypher.config.limits import Category
from cypher.crypto.keyring import Algorithm, Purpose

Identifier = Annotated[
    str,
    Meta(description="A username, an address, a device's id, or for `login-name-address` a username and an address."),
]


class KeyRotation(msgspec.Struct, frozen=True, kw_only=True):
    purpose: Purpose = Purpose.DATA
    algorithm: Annotated[Algorithm | None, Meta(description="The cipher from now on; null: as before.")] = None


class ReencryptionPace(msgspec.Struct, frozen=True, kw_only=True):
    rate: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Values a second at most; null: as fast as it goes."),
    ] = None


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Both or neither."""

    category: Category | UnsetType = UNSET
    identifier: Identifier | UnsetType = UNSET


class SubjectQuery(msgspec.Struct, frozen=True, kw_only=True):
    category: Category
    identifier: Identifier
