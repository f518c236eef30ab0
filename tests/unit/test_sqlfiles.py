"""Query files are refused with file and line as soon as they do not say what they hold."""

import ast
from pathlib import Path

import pytest

from cypher import sqlfiles
from cypher.sqlfiles import Kind, SqlFileError
from tests.parsed import PROGRAM, nodes_of

GOOD = """\
-- The people.

-- name: find_one :one
-- params: first, second
-- What a reader cannot see.
SELECT a  -- a comment; with a semicolon and $9
  FROM b
 WHERE c = $1
   AND d = $2;

-- name: remove_all :execrows
DELETE FROM b;
"""


def test_a_query_has_name_kind_parameters_and_place():
    found = {query.name: query for query in sqlfiles.parse(GOOD, "people.sql")}
    assert list(found) == ["find_one", "remove_all"]
    assert found["find_one"].kind is Kind.ONE
    assert found["find_one"].params == ("first", "second")
    assert found["find_one"].where == "people.sql:3"
    assert found["find_one"].sql.endswith("AND d = $2;")
    assert all(query.sql.startswith(("SELECT ", "UPDATE ", "INSERT ", "DELETE ")) for query in found.values())
    assert found["remove_all"].kind is Kind.EXECROWS
    assert found["remove_all"].params == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- name: a :one\nSELECT 1;\n-- name: a :one\nSELECT 2;", "x.sql:3: the name a stands here twice"),
        ("-- name: a :many_rows\nSELECT 1;", "x.sql:1: not of the form"),
        ("-- name: a :few\nSELECT 1;", "x.sql:1: the kind :few is none of"),
        ("-- name: a\nSELECT 1;", "x.sql:1: not of the form"),
        ("-- name: a :one\n-- params: b, c\nSELECT $1;", "x.sql:1: c is declared but not used"),
        ("-- name: a :one\n-- params: b\nSELECT $1, $2;", r"x.sql:1: \$2 is used but not declared"),
        ("-- name: a :one\n-- params: b\n-- $1\nSELECT 1;", "x.sql:1: b is declared but not used"),
        ("-- name: a :one\n-- params: b, b\nSELECT $1, $2;", "x.sql:1: a parameter is declared twice"),
        ("-- name: a :one\n-- params: b,c\nSELECT $1, $2;", "x.sql:1: not one line of the form"),
        ("-- name: a :one\nSELECT 1", "x.sql:1: a is not one statement"),
        ("-- name: a :one\nSELECT 1; SELECT 2;", "x.sql:1: a is not one statement"),
        ("-- name: a :one\n", "x.sql:1: a is not one statement"),
        ("-- fine\nSELECT 1;\n-- name: a :one\nSELECT 1;", "x.sql:2: a statement stands before"),
        ("SELECT 1;", "x.sql:1: a statement stands before"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused_with_its_line(text, message):
    with pytest.raises(SqlFileError, match=message):
        sqlfiles.parse(text, "x.sql")


def test_a_query_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="find_two"):
        _ = sqlfiles.parse(GOOD, "people.sql").find_two


def test_every_query_that_the_program_names_exists():
    missing = [
        f"{module.name}: sql.{name}"
        for module in PROGRAM
        for table, names in [_named(module)]
        for name in names
        if name not in {query.name for query in sqlfiles.load(table)}
    ]
    assert missing == []


def _named(module: Path) -> tuple[str, set[str]]:
    """Return the file that a module loads as `sql`, and the queries of it that it names."""
    table, names = "", set()
    for node in nodes_of(module):
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("sql = sqlfiles.load("):
            table = ast.literal_eval(node.value.args[0])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sql":
            names.add(node.attr)
    return table, names if table else set()
