"""Answers that are made once, at the start, and never differ until the next one."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import hdrs, web

from cypher.web.answers import HEADERS


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A body with its headers; a caller who has it already is told so (RFC 9110, section 13.1.2)."""

    body: bytes
    headers: Mapping[str, str]
    tag: str

    @classmethod
    def of(cls, body: bytes, media_type: str, **headers: str) -> "StoredAnswer":
        tag = base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:18]).decode()
        return cls(body, {**HEADERS, **headers, hdrs.CONTENT_TYPE: media_type, hdrs.ETAG: f'"{tag}"'}, tag)

    def answer(self, request: web.Request) -> web.Response:
        """Answer 200 with the body, or 304 without."""
        if any(known.value in (self.tag, "*") for known in request.if_none_match or ()):
            headers = {name: value for name, value in self.headers.items() if name != hdrs.CONTENT_TYPE}
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=self.body, headers=self.headers)
