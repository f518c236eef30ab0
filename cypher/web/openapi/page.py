"""An OpenAPI document as one page of plain HTML, to be read in any browser.

Elements are built and never pasted together from text, so that nothing in the document can become markup.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from xml.etree.ElementTree import Element, tostring

import msgspec

from cypher.web.openapi.document import Content, Document, Operation, Ref, Response, Schema

Node = Element | str


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows of a JSON Schema."""

    ref: str = msgspec.field(name="$ref", default="")
    type: str = ""
    format: str = ""
    description: str = ""
    enum: tuple[str | int | bool, ...] = ()
    items: dict[str, object] = {}
    any_of: tuple[dict[str, object], ...] = msgspec.field(name="anyOf", default=())
    all_of: tuple[dict[str, object], ...] = msgspec.field(name="allOf", default=())
    properties: dict[str, dict[str, object]] = {}
    required: frozenset[str] = frozenset()


def render(document: Document, style: str) -> bytes:
    """Return the page in UTF-8, with `style` as its only style sheet."""
    info = document.info
    head = _element(
        "head",
        _element("meta", charset="utf-8"),
        _element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _element("title", f"{info.title} {info.version}: HTTP interface"),
        _element("style", style),
    )
    about = _element(
        "header",
        _element("h1", info.title, " ", _element("small", info.version)),
        *_prose(info.description),
        _element("p", "For programs: ", _element("a", "openapi.json", href="openapi.json"), "."),
    )
    body = _element("body", about, _element("nav", *_contents(document)), _element("main", *_parts(document)))
    page = tostring(_element("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!DOCTYPE html>{page}".encode()


def _element(tag: str, *children: Node, **attributes: str) -> Element:
    """Build an element; `class_` stands for `class`."""
    element = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def _prose(text: str) -> Iterator[Element]:
    """Show paragraphs and lists of the little Markdown that descriptions are written in."""
    for block in filter(None, text.split("\n\n")):
        if block.startswith("- "):
            yield _element("ul", *(_element("li", *_line(item[2:])) for item in block.split("\n")))
        else:
            yield _element("p", *_line(block.replace("\n", " ")))


def _line(text: str) -> Iterator[Node]:
    """Show what stands between backticks as code."""
    for number, part in enumerate(text.split("`")):
        yield _element("code", part) if number % 2 else part


def _operations(document: Document, tag: str) -> Iterator[tuple[str, str, Operation]]:
    for path, operations in document.paths.items():
        yield from (
            (method.upper(), path, operation) for method, operation in operations.items() if tag in operation.tags
        )


def _contents(document: Document) -> Iterator[Element]:
    for tag in document.tags:
        links = (
            _element("li", _element("a", _element("b", method), " ", path, href=f"#{operation.operation_id}"))
            for method, path, operation in _operations(document, tag.name)
        )
        yield _element("h2", tag.name)
        yield _element("ul", *links)
    yield _element("h2", _element("a", "objects", href="#objects"))


def _parts(document: Document) -> Iterator[Element]:
    for tag in document.tags:
        operations = (_operation(document, *found) for found in _operations(document, tag.name))
        yield _element("section", _element("h2", tag.name), *_prose(tag.description), *operations)
    objects = (_object(name, schema) for name, schema in document.components.schemas.items())
    yield _element("section", _element("h2", "objects"), *objects, id="objects")


def _operation(document: Document, method: str, path: str, operation: Operation) -> Element:
    return _element(
        "article",
        _element("h3", _element("b", method), " ", _element("code", path)),
        _element("p", *_line(f"{operation.summary}.")),
        *_prose(operation.description),
        *_asked(document, operation),
        _answers(document, operation),
        id=operation.operation_id,
    )


def _asked(document: Document, operation: Operation) -> Iterator[Element]:
    """Show what a caller has to bring."""
    for name in dict.fromkeys(name for need in operation.security for name in need):
        scopes = " or ".join(f"`{scope}`" for need in operation.security for scope in need.get(name, ()))
        wanted = f" Scope: {scopes}." if scopes else ""
        description = document.components.security_schemes[name].description
        yield _element("p", *_line(f"Needs `Authorization: Bearer`. {description}{wanted}"))
    for parameter in operation.parameters:
        place = f"In the {parameter.in_}: "
        said = f". {parameter.description}" if parameter.description else ""
        yield _element("p", place, _element("code", parameter.name), ", ", *_type(parameter.schema), said)
    if operation.request_body:
        yield _element("p", "Body: ", *_content(operation.request_body.content))


def _answers(document: Document, operation: Operation) -> Element:
    rows = []
    for status, held in operation.responses.items():
        response = _resolved(document, held)
        name = f"{status} {HTTPStatus(int(status)).phrase}"
        said = _prose(response.description) if response.description.startswith("- ") else ()
        rows.append(_row(name, _content(response.content), (*said, *_headers(response))))
    return _table(("Answer", "Body", "Says"), rows)


def _headers(response: Response) -> Iterator[Node]:
    names = [name for name in response.headers if name != "X-Request-Id"]
    if names:
        yield _element("p", "With ", *(_element("code", name) for name in names))


def _resolved(document: Document, held: Ref | Response) -> Response:
    return document.components.responses[held.ref.rpartition("/")[2]] if isinstance(held, Ref) else held


def _content(content: Mapping[str, Content]) -> Iterator[Node]:
    for number, (media_type, body) in enumerate(content.items()):
        if number:
            yield " or "
        yield from _type(body.schema)
        yield " "
        yield _element("small", media_type)


def _object(name: str, schema: Schema) -> Element:
    shape = msgspec.convert(schema, Shape)
    rows = []
    for field, inner in shape.properties.items():
        optional = "" if field in shape.required else "Optional. "
        rows.append(_row(field, _type(inner), [optional + msgspec.convert(inner, Shape).description]))
    return _element(
        "article",
        _element("h3", name),
        *_prose(shape.description),
        _table(("Field", "Type", "Means"), rows),
        id=f"object-{name}",
    )


def _type(schema: Schema) -> Iterator[Node]:
    """Show what a value is, with a link where it is one of the objects."""
    shape = msgspec.convert(schema, Shape)
    if shape.ref:
        name = shape.ref.rpartition("/")[2]
        yield _element("a", name, href=f"#object-{name}")
    elif shape.any_of:
        for number, inner in enumerate(shape.any_of):
            yield " or " if number else ""
            yield from _type(inner)
    elif shape.all_of:
        yield from _type(shape.all_of[0])
    elif shape.enum:
        yield " or ".join(json.dumps(value) for value in shape.enum)
    elif shape.type == "array":
        yield "list of "
        yield from _type(shape.items)
    else:
        yield f"{shape.type} ({shape.format})" if shape.format else shape.type


def _table(titles: Iterable[str], rows: Iterable[Element]) -> Element:
    head = _element("tr", *(_element("th", title, scope="col") for title in titles))
    return _element("table", _element("thead", head), _element("tbody", *rows))


def _row(name: str, *cells: Iterable[Node]) -> Element:
    return _element("tr", _element("th", name, scope="row"), *(_element("td", *cell) for cell in cells))
