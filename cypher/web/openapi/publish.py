"""The description as it is served. It fetches nothing and runs nothing: no script, no other host."""

import base64
import hashlib
from importlib.resources import files

import msgspec

from cypher.web.body import JSON
from cypher.web.openapi.document import Document
from cypher.web.openapi.page import render
from cypher.web.stored import StoredAnswer


def published(document: Document) -> tuple[StoredAnswer, StoredAnswer]:
    """Return `/openapi.json` and `/docs`."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return (
        StoredAnswer.of(msgspec.json.encode(document), JSON),
        StoredAnswer.of(render(document, style), "text/html; charset=utf-8", **{"Content-Security-Policy": policy}),
    )
