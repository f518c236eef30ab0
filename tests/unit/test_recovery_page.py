"""docs/recovery.md promises that its lines open any field: they are run here as they stand on the page."""

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "derivations.json").read_text())
KEY_ID = "data-20261123-0123abcd"
PASSWORD = VECTORS["keyring"]["master_password"]


@pytest.fixture(scope="module")
def open_field():
    page = (ROOT / "docs" / "recovery.md").read_text()
    lines: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1), lines)
    return lines["open_field"]


def store_of(algorithm):
    """The key store of the vectors, its data key wrapped anew for another cipher where one is asked for."""
    store = json.loads(json.dumps(VECTORS["keyring"]["keyring.json"]))
    (key,) = store["keys"]
    if key["algorithm"] != algorithm:
        wrapping = bytes.fromhex(VECTORS["wrapping"]["wrapping_key"])
        data_key = bytes.fromhex(VECTORS["keyring"]["opens_to"][KEY_ID])
        key["algorithm"] = algorithm
        key["wrapped"] = Fernet(base64.urlsafe_b64encode(wrapping)).encrypt(data_key).decode()
    return store


@pytest.mark.parametrize("sealed", VECTORS["sealed"], ids=lambda sealed: sealed["algorithm"])
def test_the_pages_lines_open_the_vectors_and_nothing_that_was_moved(open_field, sealed):
    store = store_of(sealed["algorithm"])
    row_id = UUID(sealed["row_id"]).bytes
    arguments = (store, PASSWORD, sealed["ciphertext"], KEY_ID, sealed["table"])
    assert open_field(*arguments, sealed["column"], row_id).decode() == sealed["plaintext"]
    with pytest.raises((InvalidToken, InvalidTag)):
        open_field(*arguments, "username", row_id)


def test_the_vectors_wrapping_key_is_the_pages():
    kek = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), bytes(range(16)), 600_000)
    info = b"cypher/v1/wrap\0data\0" + KEY_ID.encode() + b"\x01"
    assert hmac.digest(kek, info, "sha256").hex() == VECTORS["wrapping"]["wrapping_key"]
