"""The tree as a reader meets it: sizes, names, what is kept out of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.parsed import PROGRAM, ROOT, nodes_of

LONGEST_FILE = 300
LONGEST_FUNCTION = 50

BENCH = sorted((ROOT / "bench").rglob("*.py"))
SQL = sorted((ROOT / "sql").glob("*.sql"))
MIGRATIONS = sorted((ROOT / "migrations").iterdir())


def of_the_program() -> Iterator[tuple[Path, ast.AST]]:
    return ((file, node) for file in PROGRAM for node in nodes_of(file))


def test_files_and_their_functions_fit_on_a_few_screens() -> None:
    for file in PROGRAM + BENCH:
        assert len(file.read_text().splitlines()) <= LONGEST_FILE, file
        for node in nodes_of(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < LONGEST_FUNCTION, f"{file}: {node.name}"


def test_every_module_says_what_it_is_for() -> None:
    for file in PROGRAM + BENCH:
        module = nodes_of(file)[0]
        assert isinstance(module, ast.Module)
        assert ast.get_docstring(module), file


def test_no_two_test_modules_have_one_name() -> None:
    """pytest imports them by their name alone, and leaves out the second."""
    modules = [path.name for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts]
    assert len(modules) == len(set(modules))


def test_no_sql_in_the_program() -> None:
    statement = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|GRANT|WITH)\s[\w\s*\"({]")
    for file, node in of_the_program():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not statement.match(node.value), f"{file}:{node.lineno}"


def test_nothing_is_swallowed_whole() -> None:
    for file, node in of_the_program():
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{file}:{node.lineno}: a bare except"


def test_exception_is_caught_in_two_places_at_most() -> None:
    catching = [file for file in PROGRAM for _ in re.finditer(r"except \(?(Base)?Exception\b", file.read_text())]
    assert len(catching) <= 2, catching


def test_every_migration_has_a_rollback_and_a_number_of_its_own() -> None:
    forward = [file.name for file in MIGRATIONS if not file.name.endswith(".rollback.sql")]
    numbers = [name.split("_")[0] for name in forward]
    assert numbers == [f"{number:04}" for number in range(1, len(forward) + 1)]
    assert {file.name for file in MIGRATIONS} == {*forward, *(name[:-4] + ".rollback.sql" for name in forward)}


def test_queries_name_their_columns() -> None:
    assert [file for file in SQL if re.search(r"SELECT \*|\.\*", file.read_text())] == []


def test_every_setting_in_the_example_is_read_and_every_one_read_is_in_the_example() -> None:
    example = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    reading = re.compile(r'read\.\w+\(\s*"([A-Z_]+)"')
    read = {name for file in PROGRAM for name in reading.findall(file.read_text())}
    assert example == read
