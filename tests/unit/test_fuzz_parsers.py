"""What a client or a file brings is what was written, or the one refusal that is declared."""

from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from cypher.auth import recovery_codes
from cypher.auth.device_tokens import hash_of_shown, new_device_token
from cypher.auth.entries import spot_of
from cypher.auth.refresh_tokens import hash_token
from cypher.clock import microseconds_of
from cypher.crypto import base64url
from cypher.errors import OperatorError, ValidationFailed
from cypher.maintenance.checkpoints import Checkpoint, read_checkpoints
from cypher.maintenance.exported import End, Header, LeafLine, Line, PublicKey, SealLine, read_lines
from tests.mutations import edited, edited_text, refilled

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEEP = b'{"type":"end","seals":1,"entries":1,"x":' + b"[" * 100_000
LINES: list[Line] = [
    Header(store_id=UUID(int=1), exported_at=MOMENT, retention_days={"default": 400}),
    PublicKey(id="audit-1", key=base64url.encode(bytes(32))),
    SealLine(
        seal_no=1,
        through_xid=2,
        count=3,
        root=base64url.encode(bytes(32)),
        previous=base64url.encode(bytes(32)),
        sealed_at=MOMENT,
        signature=base64url.encode(bytes(64)),
        signing_key_id="audit-1",
    ),
    LeafLine(position=0, retention="x", entry_id=UUID(int=2), entry_hash=base64url.encode(bytes(32)), entry=None),
    End(seals=1, entries=1),
]


def _used(line: Line) -> None:
    """Do with a line what the verification does."""
    with suppress(ValueError):
        if isinstance(line, SealLine):
            line.seal().statement.digest()
        if isinstance(line, LeafLine):
            line.leaf().hash()


@given(st.sampled_from(LINES).map(msgspec.json.encode).flatmap(lambda line: edited(line) | refilled(line)))
@example(DEEP)
@example(b"\xff")
def test_a_line_of_an_export_is_read_or_refused(line: bytes) -> None:
    with suppress(OperatorError):
        [read] = read_lines([line])
        _used(read)


MARK = Checkpoint(
    store_id=UUID(int=1),
    seal_no=1,
    digest=base64url.encode(bytes(32)),
    made_at=MOMENT,
    signing_key_id="audit-1",
    signature=base64url.encode(bytes(64)),
)


@given(st.just(msgspec.json.encode(MARK)).flatmap(lambda line: edited(line) | refilled(line)))
@example(b'{"x":' + b"[" * 100_000)
def test_a_checkpoint_is_read_or_left_aside(line: bytes) -> None:
    with suppress(OperatorError):
        [read] = read_checkpoints([line])
        read.mark().message()


@given(st.text(max_size=40) | st.binary(min_size=20, max_size=28).map(base64url.encode))
@example(base64url.encode(b"\xff" * 24))
@example(base64url.encode(bytes(24)))
def test_a_cursor_names_a_spot_or_is_refused(text: str) -> None:
    try:
        spot = spot_of(text)
    except ValidationFailed as refused:
        assert [field.pointer for field in refused.fields] == ["/cursor"]  # noqa: PT017
        return
    assert base64url.encode(microseconds_of(spot.occurred_at).to_bytes(8, "big") + spot.id.bytes) == text


@given(st.binary(min_size=16, max_size=16).flatmap(lambda code: edited_text(recovery_codes.write(code))))
def test_a_recovery_code_has_one_meaning(text: str) -> None:
    code = recovery_codes.read(text)
    assert code is None or recovery_codes.read(recovery_codes.write(code)) == code
    assert code is None or text.replace("-", "").lower() == code.hex()


GOOD = new_device_token()


@given(edited_text(GOOD) | st.text(max_size=60))
def test_a_device_token_is_one_or_none(text: str) -> None:
    assert hash_of_shown(text) in (None, hash_token(text))


@given(st.binary(max_size=60))
def test_bytes_of_a_header_have_the_hash_that_they_had_before_they_were_read(sent: bytes) -> None:
    assert hash_token(sent.decode(errors="surrogateescape")) == sha256(sent).digest()
