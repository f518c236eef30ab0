"""Where a setting's value comes from: the environment, `.env`, or a file that keeps a secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cypher.config import Secret, load
from cypher.errors import SettingsRefused

MASTER = "correct-horse-battery-staple-0123456789"


def problems(environ: Mapping[str, str], dotenv: Path | None = None) -> str:
    with pytest.raises(SettingsRefused) as refused:
        load(environ, dotenv)
    return "\n".join(refused.value.problems)


def dotenv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".env"
    path.write_text(text)
    return path


def test_environment_wins_over_dotenv_and_empty_takes_back(tmp_path: Path) -> None:
    path = dotenv(tmp_path, "PORT=1000\nHOST=0.0.0.0\nPOSTGRES_HOST=db\n")
    config = load({"PORT": "2000", "POSTGRES_HOST": ""}, path)
    assert config.http.port == 2000
    assert config.http.host == "0.0.0.0"
    assert config.postgres.embedded


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=plain", "plain"),
        ("  export X = spaced out  ", "spaced out"),
        ("X=pass#word", "pass#word"),
        ("X=plain # comment", "plain"),
        ("X='single \"#\" quoted' # comment", 'single "#" quoted'),
        (r'X="a \"double\" \\ one"', r'a "double" \ one'),
        ("X=a=b", "a=b"),
    ],
)
def test_dotenv_lines(tmp_path: Path, line: str, value: str) -> None:
    path = dotenv(tmp_path, f"# comment\n\n{line.replace('X', 'ACCESS_TOKEN_AUDIENCE')}\r\n")
    assert load({}, path).http.access_token_audience == value


@pytest.mark.parametrize("line", ["X=", "X= # only a comment"])
def test_empty_in_dotenv_is_unset(tmp_path: Path, line: str) -> None:
    assert load({}, dotenv(tmp_path, line.replace("X", "PORT"))).http.port == 8080


@pytest.mark.parametrize("line", ["PORT", "=1", "PORT='1", 'PORT="1" 2', "PORT=#1"])
def test_malformed_dotenv_line_is_refused_by_its_number_without_its_text(tmp_path: Path, line: str) -> None:
    assert problems({}, dotenv(tmp_path, f"HOST=h\n{line}\n")).startswith(".env, line 2, is not NAME=value")


def test_missing_dotenv_is_none_and_an_unreadable_one_is_refused(tmp_path: Path) -> None:
    assert load({}, tmp_path / ".env") == load({}, None)
    (tmp_path / "bytes").write_bytes(b"PORT=\xff")
    assert ".env is there but cannot be read" in problems({}, tmp_path / "bytes")
    assert ".env is there but cannot be read" in problems({}, tmp_path)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_secret_from_a_file(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f" {MASTER}{ending}".encode())
    config = load({"MASTER_ENCRYPTION_PASSWORD_FILE": str(file)}, dotenv(tmp_path, "MASTER_ENCRYPTION_PASSWORD=x"))
    assert config.keys.master_password == Secret(f" {MASTER}")


def test_secret_files_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    missing = problems({"MASTER_ENCRYPTION_PASSWORD_FILE": str(tmp_path / "missing")})
    assert missing == "MASTER_ENCRYPTION_PASSWORD_FILE names a file that cannot be read (No such file or directory)"
    (tmp_path / "bytes").write_bytes(b"\xff")
    bytes_ = problems({"MASTER_ENCRYPTION_PASSWORD_FILE": str(tmp_path / "bytes")})
    assert bytes_ == "MASTER_ENCRYPTION_PASSWORD_FILE names a file that is no UTF-8 text"
    assert "an empty file" in problems({"MASTER_ENCRYPTION_PASSWORD_FILE": str(tmp_path / "empty")})
    both = {"MASTER_ENCRYPTION_PASSWORD": MASTER, "MASTER_ENCRYPTION_PASSWORD_FILE": str(tmp_path / "missing")}
    assert "are both set: keep one" in problems(both)


def test_environment_that_is_not_utf8_is_refused() -> None:
    assert problems({"MASTER_ENCRYPTION_PASSWORD": "\udcff" * 40}) == "MASTER_ENCRYPTION_PASSWORD is not valid UTF-8"
