"""Reads the queries of `sql/*.sql`: one file per table, each query with its name, kind and parameters.

A file that does not say what it holds is refused as it is loaded, with file and line. Nothing is run here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class SqlFileError(ValueError):
    """A query file does not follow its form; the text begins with `file:line`."""


class Kind(StrEnum):
    """What comes back from a query."""

    ONE = "one"  #: a record, or None
    MANY = "many"  #: records
    EXEC = "exec"  #: nothing
    EXECROWS = "execrows"  #: how many rows it changed
    VALUE = "value"  #: the first column of the first record


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement with `$1`, `$2`, … for `params`; `where` is `users.sql:11`, for errors and logs.

    `sql` begins with the statement's first word.
    """

    name: str
    kind: Kind
    params: tuple[str, ...]
    sql: str
    where: str


class SqlFile:
    """The queries of one file, each an attribute by its name."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self._queries = queries

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


HEADER = re.compile(r"-- name: ([a-z][a-z0-9_]*) :([a-z]+)")
PARAMS = re.compile(r"-- params: ([a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*)")
COMMENT = re.compile(r"--.*")
DESCRIPTION = re.compile(r"\A(?:--.*\n\s*)+")
PLACEHOLDER = re.compile(r"\$([0-9]+)")


def load(table: str) -> SqlFile:
    """Read `sql/<table>.sql`; raise SqlFileError when it is not in order."""
    path = sql_path() / f"{table}.sql"
    return parse(path.read_text(encoding="utf-8"), path.name)


def sql_path() -> Path:
    """Return the folder of the query files: inside the package when installed, beside it in a checkout."""
    return _folder("sql")


def migrations_path() -> Path:
    """Return the folder of the migrations, likewise."""
    return _folder("migrations")


def parse(text: str, file: str) -> SqlFile:
    """Return the queries in `text`; `file` names it in errors."""
    queries: dict[str, Query] = {}
    for number, lines in _sections(text.splitlines(), file):
        query = _query(lines, f"{file}:{number}")
        if query.name in queries:
            raise SqlFileError(f"{query.where}: the name {query.name} stands here twice")
        queries[query.name] = query
    return SqlFile(queries)


def _sections(lines: list[str], file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield what begins with a `-- name:` line, with that line's number."""
    starts = [number for number, line in enumerate(lines) if line.startswith("-- name:")]
    for number, line in enumerate(lines[: starts[0] if starts else None]):
        if COMMENT.sub("", line).strip():
            raise SqlFileError(f"{file}:{number + 1}: a statement stands before the first `-- name:`")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield start + 1, lines[start:end]


def _query(lines: list[str], where: str) -> Query:
    header = HEADER.fullmatch(lines[0].rstrip())
    if header is None:
        raise SqlFileError(f"{where}: not of the form `-- name: find_something :kind`")
    name, kind = header.groups()
    if kind not in set(Kind):
        raise SqlFileError(f"{where}: the kind :{kind} is none of {', '.join(f':{kind}' for kind in Kind)}")
    params = _params(lines[1:], where)
    body = "\n".join(lines[1:]).strip()
    code = COMMENT.sub("", body).strip()
    if not code.endswith(";") or code.count(";") != 1:
        raise SqlFileError(f"{where}: {name} is not one statement that ends in a semicolon")
    _compare(params, code, where)
    # Whoever lists statements, in pg_stat_activity or in a trace, sees at once what each is.
    statement = DESCRIPTION.sub("", body)
    return Query(name=name, kind=Kind(kind), params=params, sql=statement, where=where)


def _params(lines: list[str], where: str) -> tuple[str, ...]:
    declared = [line.rstrip() for line in lines if line.startswith("-- params:")]
    if not declared:
        return ()
    match = PARAMS.fullmatch(declared[0])
    if match is None or len(declared) > 1:
        raise SqlFileError(f"{where}: not one line of the form `-- params: first, second`")
    names = tuple(match[1].split(", "))
    if len(set(names)) != len(names):
        raise SqlFileError(f"{where}: a parameter is declared twice")
    return names


def _compare(params: tuple[str, ...], code: str, where: str) -> None:
    used = {int(number) for number in PLACEHOLDER.findall(code)}
    declared = set(range(1, len(params) + 1))
    if undeclared := used - declared:
        raise SqlFileError(f"{where}: ${min(undeclared)} is used but not declared")
    if unused := declared - used:
        raise SqlFileError(f"{where}: {params[min(unused) - 1]} is declared but not used")


def _folder(name: str) -> Path:
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
