"""What is read of keys, tokens and sealed values is what was written, or the one error that is declared."""

import asyncio
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cypher.auth.access_tokens import AccessTokens
from cypher.crypto import base64url
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore, ring_in
from cypher.crypto.rotation import rotate
from cypher.crypto.signing import private_key
from cypher.crypto.stored import encode_ring
from cypher.ephemeral.sealed_values import SealedValues
from cypher.errors import KeyStoreRefused, Unauthenticated
from tests.mutations import JSON, edited, edited_text, refilled
from tests.rings import secrets_of

fuzzed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
USER, SESSION = UUID(int=1), UUID(int=2)


# -- the key store ------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"version":1,"x":' + b"[" * 100_000)
@example(b'{"version":' + b"1" * 5000 + b"}")
def test_bytes_are_no_ring(data: bytes) -> None:
    with pytest.raises(KeyStoreRefused):
        ring_in(data, "It")


@pytest.fixture
def turned(ring: KeyRing) -> KeyRing:
    """A ring with keys in several states."""
    rotate(ring, Purpose.DATA)
    rotate(ring, Purpose.SIGNING)
    return ring


@fuzzed
@given(st.data())
def test_a_changed_file_is_refused_or_holds_the_keys_that_it_held(
    turned: KeyRing, store: DirectoryKeyStore, file: Path, password: str, clock, data: st.DataObject
) -> None:
    good, kept = file.read_bytes(), secrets_of(turned)
    kdf = ring_in(good, "It").kdf
    file.write_bytes(data.draw(edited(good) | refilled(good)))
    try:
        found = store.read()
        assert found
        assert ring_in(encode_ring(found), "It") == found
        if found.kdf.rounds <= kdf.rounds:  # a million more are right as well, and take a second
            opened = secrets_of(KeyRing.open(store, password, clock))
            assert opened.items() <= kept.items()
    except KeyStoreRefused:
        pass
    finally:
        file.write_bytes(good)


# -- access tokens ------------------------------------------------------------------------------------------


@pytest.fixture
def access(ring: KeyRing, clock) -> AccessTokens:
    return AccessTokens(ring, clock, issuer="http://x", audience="http://x", lifetime=timedelta(minutes=5))


@pytest.fixture
def token(access: AccessTokens) -> str:
    return asyncio.run(access.issue(user_id=USER, session_id=SESSION, aal=1, amr=("opaque",)))


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        **{name: JSON for name in ("kid", "typ", "alg", "crit", "b64", "x")},
        "zip": st.just("DEF"),
    },
)


@fuzzed
@given(st.text(max_size=100) | st.text("ABCDabcd.=-_", max_size=200))
@example("." * 2000)
@example(base64url.encode(b"[" * 1500) + ".e30.e30")
@example(base64url.encode(b'{"kid":"\\ud800","typ":"at+jwt"}') + ".e30.e30")
def test_texts_are_no_access_tokens(access: AccessTokens, text: str) -> None:
    with pytest.raises(Unauthenticated):
        access.verify(text)


@fuzzed
@given(HEADERS, st.booleans())
def test_another_header_makes_no_access_token(
    access: AccessTokens, token: str, ring: KeyRing, header: dict, half_right: bool
) -> None:
    right = {"kid": ring.primary(Purpose.SIGNING).id, "typ": "at+jwt", "alg": "EdDSA"} if half_right else {}
    forged = base64url.encode(json.dumps(right | header).encode()) + token[token.index(".") :]
    if jwt.get_unverified_header(token) != right | header:
        with pytest.raises(Unauthenticated):
            access.verify(forged)


@fuzzed
@given(st.data())
def test_a_changed_access_token_is_refused_or_says_the_same(
    access: AccessTokens, token: str, data: st.DataObject
) -> None:
    said = access.verify(token)
    with suppress(Unauthenticated):
        assert access.verify(data.draw(edited_text(token))) == said


@fuzzed
@given(st.data())
def test_whatever_our_key_signs_is_claims_or_refused(
    access: AccessTokens, token: str, ring: KeyRing, data: st.DataObject
) -> None:
    payload = json.dumps(jwt.decode(token, options={"verify_signature": False})).encode()
    key = ring.primary(Purpose.SIGNING)
    odd = jwt.api_jws.encode(
        data.draw(refilled(payload)), private_key(key), algorithm="EdDSA", headers={"kid": key.id, "typ": "at+jwt"}
    )
    with suppress(Unauthenticated):
        claims = access.verify(odd)
        assert isinstance(claims.sub, UUID)
        assert isinstance(claims.exp, int)


# -- sealed values ------------------------------------------------------------------------------------------


@pytest.fixture
def opened(ring: KeyRing) -> Iterator[tuple[bytes, Callable[[bytes], bytes | None]]]:
    """A value as it stands in Redis, and what opens one in its place."""
    values = SealedValues(FieldCodec(ring), "epoch")
    with asyncio.Runner() as runner:
        sealed = runner.run(values.seal(b"plaintext", "flow", "1"))
        yield sealed, lambda value: runner.run(values.open(value, "flow", "1"))


@fuzzed
@given(st.data())
def test_a_changed_value_opens_to_nothing_or_to_what_was_sealed(opened, data: st.DataObject) -> None:
    sealed, opens = opened
    assert opens(sealed) == b"plaintext"
    assert opens(data.draw(edited(sealed) | st.binary(max_size=100))) in (None, b"plaintext")


# -- base64url ----------------------------------------------------------------------------------------------


@given(st.text(max_size=40) | st.text("ABCDwxyz0189-_=+/", max_size=20) | st.text("A\n\u0661\xff", max_size=8))
def test_a_text_is_the_one_of_its_value_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert base64url.encode(base64url.decode(text)) == text


@given(st.binary(max_size=40) | st.text("ABQgw=AEI-_", max_size=12).map(str.encode))
def test_what_is_called_canonical_is(text: bytes) -> None:
    try:
        is_own = urlsafe_b64encode(urlsafe_b64decode(text)) == text
    except ValueError:
        is_own = False
    assert base64url.is_canonical(text) is is_own


def test_random_bytes_come_back() -> None:
    for length in range(100):
        value = secrets.token_bytes(length)
        assert base64url.decode(base64url.encode(value)) == value
