"""What an ORM would have checked, without one: every query against the migrated schema."""

import re
from pathlib import Path

import asyncpg
import pytest

from cypher import sqlfiles
from cypher.sqlfiles import Kind, Query, SqlFileError, parse

FILES = sorted(path.stem for path in sqlfiles.sql_path().glob("*.sql"))
QUERIES = [pytest.param(query, id=f"{file}.{query.name}") for file in FILES for query in sqlfiles.load(file)]
PACKAGE = Path(sqlfiles.__file__).parent


@pytest.fixture
async def connection(unchanged_postgres_config):
    config = unchanged_postgres_config
    connection = await asyncpg.connect(
        host=config.hosts[0],
        port=config.port,
        user=config.user,
        password=config.password and config.password.reveal(),
        database=config.database,
    )
    yield connection
    await connection.close()


@pytest.mark.parametrize("query", QUERIES)
async def test_every_query_prepares_with_its_parameters_and_returns_what_its_kind_says(
    connection, query: Query
) -> None:
    statement = await connection.prepare(query.sql)
    assert len(statement.get_parameters()) == len(query.params)
    columns = [attribute.name for attribute in statement.get_attributes()]
    if query.kind in (Kind.ONE, Kind.MANY):
        assert columns
        assert len(set(columns)) == len(columns), "two columns of one name"
    if query.kind is Kind.VALUE:
        assert len(columns) == 1


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_selects_a_star(query: Query) -> None:
    assert not re.search(r"(SELECT|RETURNING)\s+(\w+\.)?\*", query.sql)


@pytest.mark.parametrize("query", [value for value in QUERIES if value.values[0].kind in (Kind.ONE, Kind.MANY)])
async def test_every_sealed_column_comes_with_the_id_of_its_key(connection, query: Query) -> None:
    columns = {attribute.name for attribute in (await connection.prepare(query.sql)).get_attributes()}
    every = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE column_name LIKE '%\\_key\\_id'"
    )
    words = set(re.findall(r"\w+", query.sql))
    sealed = {row["column_name"].removesuffix("_key_id") for row in every if row["table_name"] in words}
    assert {f"{column}_key_id" for column in columns & sealed} <= columns


def test_every_query_is_used_and_no_other_sql_is_in_the_program() -> None:
    source = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    for file in FILES:
        for query in sqlfiles.load(file):
            assert any(f"sql.{query.name}" in text for text in source.values()), f"{file}.{query.name} is not used"
    for path, text in source.items():
        assert not re.search(
            r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM) [a-z_]+\b.*\b(FROM|SET|VALUES|WHERE)\b", text
        ), path


async def test_every_sealed_column_stands_beside_its_key_and_every_constraint_has_a_name_of_ours(connection) -> None:
    columns = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    names = {(row["table_name"], row["column_name"]) for row in columns}
    keys = {(table, column) for table, column in names if column.endswith("_key_id")}
    assert len(keys) >= 8
    # What the key of a seal has made is a signature, and called so.
    assert {(table, column.removesuffix("_key_id")) for table, column in keys} - {("audit_seals", "signing")} <= names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-- name: a_b :one\nSELECT 1;\n-- name: a_b :one\nSELECT 2;", "x.sql:3"),
        ("-- name: a_b :few\nSELECT 1;", "x.sql:1"),
        ("-- name: a_b\nSELECT 1;", "x.sql:1"),
        ("-- name: a_b :one\n-- params: one, two\nSELECT $1;", "two"),
        ("-- name: a_b :one\nSELECT $1;", "$1"),
        ("-- name: a_b :one\nSELECT 1; SELECT 2;", "x.sql:1"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(SqlFileError, match=re.escape(says)):
        parse(text, "x.sql")
