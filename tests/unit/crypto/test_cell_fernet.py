"""A cell's Fernet is the library's own, however it is given its key."""

import base64

import pytest
from cryptography.fernet import Fernet, InvalidToken

from cypher.clock import new_bytes
from cypher.crypto.cell_fernet import _in_public_way, cell_fernet

KEY = bytes(range(32))

both_ways = pytest.mark.parametrize("make", [cell_fernet, _in_public_way], ids=["by its fields", "in the public way"])


def test_it_is_made_as_the_library_makes_it() -> None:
    assert cell_fernet is not _in_public_way, "another version of cryptography: the quick way is not taken any more"
    ours, theirs = vars(cell_fernet(KEY)), vars(_in_public_way(KEY))
    assert ours.keys() == theirs.keys()
    assert {name: ours[name] for name in ours if name != "_aes"} == {
        name: theirs[name] for name in theirs if name != "_aes"
    }
    assert ours["_aes"].key == theirs["_aes"].key


@both_ways
@pytest.mark.parametrize("length", [0, 1, 15, 16, 64, 4096])
def test_each_opens_what_the_other_has_sealed(make, length: int) -> None:
    value, theirs = new_bytes(length), Fernet(base64.urlsafe_b64encode(KEY))
    assert make(KEY).decrypt(theirs.encrypt(value)) == value
    assert theirs.decrypt(make(KEY).encrypt(value)) == value


@both_ways
def test_another_key_opens_nothing(make) -> None:
    token = make(KEY).encrypt(b"value")
    with pytest.raises(InvalidToken):
        make(KEY[::-1]).decrypt(token)
