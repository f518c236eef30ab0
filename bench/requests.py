"""Requests as they go over the wire."""

from urllib.parse import urlencode

import msgspec

LIVE = "/health/live"


def get(path: str, bearer: str | None = None) -> bytes:
    return _request("GET", path, bearer)


def post(path: str, body: msgspec.Struct) -> bytes:
    """Write a POST of JSON."""
    return _request("POST", path, None, "application/json", msgspec.json.encode(body))


def post_form(path: str, bearer: str | None = None, **fields: str) -> bytes:
    return _request("POST", path, bearer, "application/x-www-form-urlencoded", urlencode(fields).encode())


def _request(method: str, path: str, bearer: str | None, media_type: str = "", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: bench"]
    if bearer:
        lines.append(f"Authorization: Bearer {bearer}")
    if body:
        lines += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
