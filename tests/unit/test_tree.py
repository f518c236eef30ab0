"""The tree as a reader meets it: sizes, names, what is kept out of it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 300
LONGEST_FUNCTION = 50

FILES = sorted((ROOT / "cypher").rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
SQL = sorted((ROOT / "sql").glob("*.sql"))
MIGRATIONS = sorted((ROOT / "migrations").iterdir())
names = {"ids": lambda path: str(path.relative_to(ROOT))}


@pytest.mark.parametrize("file", FILES + BENCH, **names)
def test_file_and_its_functions_fit_on_a_few_screens(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("file", FILES + BENCH, **names)
def test_module_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_no_two_test_modules_have_one_name() -> None:
    """pytest imports them by their name alone, and leaves out the second."""
    modules = [path.name for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts]
    assert len(modules) == len(set(modules))


@pytest.mark.parametrize("file", FILES, **names)
def test_no_sql_in_the_program(file: Path) -> None:
    statement = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|GRANT|WITH)\s[\w\s*\"({]")
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not statement.match(node.value), f"{file}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, **names)
def test_nothing_is_swallowed_whole(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{file}:{node.lineno}: a bare except"


def test_exception_is_caught_in_two_places_at_most() -> None:
    catching = [file for file in FILES for _ in re.finditer(r"except \(?(Base)?Exception\b", file.read_text())]
    assert len(catching) <= 2, catching


def test_every_migration_has_a_rollback_and_a_number_of_its_own() -> None:
    forward = [file.name for file in MIGRATIONS if not file.name.endswith(".rollback.sql")]
    numbers = [name.split("_")[0] for name in forward]
    assert numbers == [f"{number:04}" for number in range(1, len(forward) + 1)]
    assert {file.name for file in MIGRATIONS} == {*forward, *(name[:-4] + ".rollback.sql" for name in forward)}


@pytest.mark.parametrize("file", SQL, **names)
def test_query_names_its_columns(file: Path) -> None:
    assert not re.search(r"SELECT \*|\.\*", file.read_text())


def test_every_setting_in_the_example_is_read_and_every_one_read_is_in_the_example() -> None:
    example = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    reading = re.compile(r'read\.\w+\(\s*"([A-Z_]+)"')
    read = {name for file in FILES for name in reading.findall(file.read_text())}
    assert example == read
