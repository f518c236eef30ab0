"""A cell's Fernet is the library's own, however it is given its key."""

import base64

import pytest
from cryptography.fernet import Fernet, InvalidToken

from cypher.clock import new_bytes
from cypher.crypto import cell_fernet as module
from cypher.crypto.cell_fernet import cell_fernet

KEY = bytes(range(32))


@pytest.fixture(params=["by its fields", "in the public way"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._FIELDS_ARE_KNOWN, "another version of cryptography: the quick way is not taken any more"
    monkeypatch.setattr(module, "_FIELDS_ARE_KNOWN", request.param == "by its fields")


def test_it_is_made_as_the_library_makes_it() -> None:
    ours, theirs = vars(cell_fernet(KEY)), vars(Fernet(base64.urlsafe_b64encode(KEY)))
    assert ours.keys() == theirs.keys()
    assert {name: ours[name] for name in ours if name != "_aes"} == {
        name: theirs[name] for name in theirs if name != "_aes"
    }
    assert ours["_aes"].key == theirs["_aes"].key


@pytest.mark.parametrize("length", [0, 1, 15, 16, 64, 4096])
def test_each_opens_what_the_other_has_sealed(length: int) -> None:
    value, theirs = new_bytes(length), Fernet(base64.urlsafe_b64encode(KEY))
    assert cell_fernet(KEY).decrypt(theirs.encrypt(value)) == value
    assert theirs.decrypt(cell_fernet(KEY).encrypt(value)) == value


def test_another_key_opens_nothing() -> None:
    token = cell_fernet(KEY).encrypt(b"value")
    with pytest.raises(InvalidToken):
        cell_fernet(KEY[::-1]).decrypt(token)
