"""The one strict parser of request bodies and queries, from bytes to structs.

Nothing else in the program reads a body: aiohttp's `request.json()` takes UTF-16, NaN and repeated keys, and
answers an unknown charset with a 500.
"""

import asyncio
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar, get_args, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from aiohttp import StreamReader, hdrs, http_exceptions, web

from cypher.errors import (
    BadJson,
    BadRequest,
    BodyTooLarge,
    FieldError,
    InvalidRequest,
    UnsupportedMediaType,
    ValidationFailed,
)

S = TypeVar("S", bound=msgspec.Struct)

MAX_BODY = 64 * 1024
#: Our deepest object has three levels. The bound keeps recursion, here and in every reader to come, harmless.
MAX_DEPTH = 16
MAX_PARAMETERS = 32
#: A body that takes longer is the client's fault: said before the deadline of the whole request would blame us.
BODY_SECONDS = 4.0

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
PARAMETER = re.compile(rf'({TOKEN})=({TOKEN}|"[^"\\]*")')


async def read(request: web.Request, into: type[S]) -> S:
    """Read a JSON object into a struct; unknown fields are ignored.

    Raises UnsupportedMediaType, BodyTooLarge, BadRequest (the body breaks off or its framing is wrong), BadJson or
    ValidationFailed, which names every field that does not fit.
    """
    _require_media_type(request, JSON)
    return parse_json(await _read_bytes(request), into)


async def read_form(request: web.Request, into: type[S]) -> S:
    """Read a form into a struct of strings; a parameter without a value counts as absent (RFC 6749, section 3.1).

    Raises as `read` does, but InvalidRequest for all that is wrong with the content.
    """
    _require_media_type(request, FORM)
    return parse_form(await _read_bytes(request), into)


def read_query(request: web.Request, into: type[S]) -> S:
    """Read the query into a flat struct; unknown names are ignored.

    Raises ValidationFailed, also for a name of ours that stands there twice: readers differ about who wins.
    """
    sent = request.query
    twice = [name for name in into.__struct_encode_fields__ if len(sent.getall(name, ())) > 1]
    if twice:
        raise ValidationFailed([FieldError(f"/{name}", "invalid") for name in twice])
    query = _convert(dict(sent), into, strict=False)
    # What turns texts into numbers takes a number for a time as well; ours are those of RFC 3339.
    numbers = [
        name for name, text in sent.items() if isinstance(getattr(query, name, None), datetime) and ":" not in text
    ]
    if numbers:
        raise ValidationFailed([FieldError(f"/{name}", "invalid") for name in numbers])
    return query


def parse_json(body: bytes, into: type[S]) -> S:
    """Parse strict JSON (RFC 8259): UTF-8 without a byte order mark, no key twice, no NaN, no lone surrogate."""
    try:
        value: object = _decode(body.decode())
        _require_sound(value, 1)
    except (ValueError, RecursionError) as exc:
        raise BadJson from exc
    return _convert(value, into)


def parse_form(body: bytes, into: type[S]) -> S:
    """Parse `application/x-www-form-urlencoded`; raise InvalidRequest, also when a parameter stands there twice."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
        given = {name: value for name, value in _object(pairs).items() if value != ""}
        return msgspec.convert(given, into)
    except (ValueError, msgspec.ValidationError) as exc:
        raise InvalidRequest from exc


def _require_media_type(request: web.Request, wanted: str) -> None:
    """Raise UnsupportedMediaType unless the body is `wanted`, in UTF-8 and not compressed."""
    encoded = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    if any(encoding.strip().lower() != "identity" for encoding in encoded):
        raise UnsupportedMediaType
    if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        raise UnsupportedMediaType
    sent = request.headers.getall(hdrs.CONTENT_TYPE, ())
    if len(sent) != 1 or not _is_media_type(sent[0], wanted):
        raise UnsupportedMediaType


def _is_media_type(sent: str, wanted: str) -> bool:
    """Compare a Content-Type, split and not matched as a whole: one pattern for all of it can take for ever."""
    media_type, *parameters = (part.strip(" \t") for part in sent.split(";"))
    found = [PARAMETER.fullmatch(parameter) for parameter in parameters if parameter]
    charsets = [match[2].strip('"').lower() for match in found if match and match[1].lower() == "charset"]
    return media_type.lower() == wanted and all(found) and charsets in ([], ["utf-8"])


async def _read_bytes(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise BodyTooLarge
    try:
        # All of it is mostly here already: then it takes no clock.
        body = request.content.read_nowait() if request.content.is_eof() else await _await_bytes(request.content)
    except (web.RequestPayloadError, http_exceptions.HttpProcessingError, ConnectionError, TimeoutError) as exc:
        raise BadRequest from exc
    if len(body) > MAX_BODY:
        raise BodyTooLarge
    return body


async def _await_bytes(content: StreamReader) -> bytes:
    """Wait for a body to its end, or until it is too large."""
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        while len(body) <= MAX_BODY and (chunk := await content.readany()):
            body += chunk
    return bytes(body)


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its members; ValueError when a name stands there twice: readers differ about who wins."""
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError
        members[name] = value
    return members


def _refuse_constant(_: str) -> object:
    raise ValueError


#: `json.loads` would make one for each body, which takes longer than to read it.
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant).decode


def _require_sound(value: object, depth: int) -> None:
    """Raise ValueError for a value that is nested too deeply or a string that UTF-8 cannot hold."""
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError: "\ud800" alone
        return
    if not isinstance(value, list | dict):
        return
    if depth > MAX_DEPTH:
        raise ValueError
    inner = value if isinstance(value, list) else [*value.keys(), *value.values()]
    for item in inner:
        _require_sound(item, depth + 1)


def _convert(value: object, into: type[S], *, strict: bool = True) -> S:
    """Convert; text counts as the number it shows unless `strict`."""
    try:
        return msgspec.convert(value, into, strict=strict)
    except msgspec.ValidationError as exc:
        raise ValidationFailed(list(_unfit(value, into, strict=strict))) from exc


def _unfit(value: object, into: type[msgspec.Struct], *, strict: bool, at: str = "") -> Iterable[FieldError]:
    """Name what does not fit, by the names of our own fields only: msgspec stops at the first."""
    if not isinstance(value, dict):
        yield FieldError(at, "not_an_object")
        return
    types = get_type_hints(into, include_extras=True)
    for field in msgspec.structs.fields(into):
        pointer, kind = f"{at}/{field.encode_name}", types[field.name]
        if field.encode_name not in value:
            if field.required:
                yield FieldError(pointer, "missing")
        elif not _fits(value[field.encode_name], kind, strict=strict):
            inner = _struct_in(kind) if isinstance(value[field.encode_name], dict) else None
            if inner is None:
                yield FieldError(pointer, "invalid")
            else:
                yield from _unfit(value[field.encode_name], inner, strict=strict, at=pointer)


def _struct_in(kind: type[object]) -> type[msgspec.Struct] | None:
    """Return the struct that a field holds, alone or beside None."""
    kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return kinds[0] if len(kinds) == 1 else None


def _fits(value: object, kind: type[object], *, strict: bool) -> bool:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        return False
    return True
