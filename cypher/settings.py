"""Reads single settings, the environment before `.env`, and collects every problem instead of stopping at the first.

It knows no setting by name; which there are, and what they default to, stands in `config`. A problem names the
setting and the rule, never the value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

Option = TypeVar("Option", bound=str)

DAY = 86_400
#: Ten years: far beyond any sensible session, far below what a timestamp can hold.
LONGEST = 3650 * DAY

#: `NAME=value`, `NAME='value'` or `NAME="value"`, each with an optional comment. Unquoted, `#` begins a comment only
#: after a space: a password must never be cut short in silence.
LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
        (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^'"\s\#](?:.*?\S)?)?)
        \s*(?:(?<=\s)\#.*)?""",
    re.VERBOSE,
)

#: More hits than this for one subject, or more seconds, would keep much of Redis for little.
MOST_HITS = 10_000
LONGEST_WINDOW = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `hits` in any `window`."""

    hits: int
    window: timedelta

    @property
    def seconds(self) -> int:
        """The window; a setting is in whole seconds."""
        return int(self.window.total_seconds())


class Secret:
    """A text that shows itself only through `reveal()`; not in repr, logs, tracebacks or `dataclasses.asdict`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class SettingsReader:
    """Gives each setting in its type, or its default after noting what is wrong with it in `problems`."""

    def __init__(self, environ: Mapping[str, str], dotenv: Path | None) -> None:
        self.problems: list[str] = []
        self._layers = (environ, self._read_dotenv(dotenv))

    def refuse(self, problem: str) -> None:
        self.problems.append(problem)

    def text(self, name: str) -> str | None:
        """Return the value without surrounding space; None when unset or empty.

        An empty value in the environment takes back the one in `.env`.
        """
        for layer in self._layers:
            if name in layer:
                return self._checked(name, layer[name].strip())
        return None

    def secret(self, name: str) -> Secret | None:
        """Return `NAME`, or the content of the file that `NAME_FILE` names, without its line ending."""
        for layer in self._layers:
            value, path = layer.get(name), layer.get(f"{name}_FILE")
            if value and path:
                self.refuse(f"{name} and {name}_FILE are both set: keep one")
            if value or path:
                found = self._checked(name, value) if value else self._read_secret(name, Path(path or ""))
                return Secret(found) if found else None
            if value is not None or path is not None:
                return None
        return None

    def file(self, name: str) -> Path | None:
        """Return the absolute path of a file that is there and can be read; None when unset."""
        value = self.text(name)
        if value is None:
            return None
        path = Path(value).absolute()
        if not is_readable(path):
            self.refuse(f"{name} names a file that cannot be read")
        return path

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        # int() takes full-width digits, signs, spaces and underscores; a setting does not.
        if re.fullmatch(r"[0-9]{1,15}", value) and low <= int(value) <= high:
            return int(value)
        self.refuse(f"{name} must be a whole number from {low} to {high}")
        return default

    def seconds(self, name: str, default: int, *, low: int, high: int) -> timedelta:
        return timedelta(seconds=self.number(name, default, low=low, high=high))

    def milliseconds(self, name: str, default: int) -> float:
        """Return a time-out in seconds; every request ends within five, so that none may be longer."""
        return self.number(name, default, low=10, high=5000) / 1000

    def limit(self, name: str, default: Limit) -> Limit | None:
        """Return the limit of a setting of the form `hits/seconds`; None for `off`."""
        value = self.text(name)
        if value is None:
            return default
        if value.lower() == "off":
            return None
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        hits, seconds = (int(found[1]), int(found[2])) if found else (0, 0)
        if 1 <= hits <= MOST_HITS and 1 <= seconds <= LONGEST_WINDOW:
            return Limit(hits=hits, window=timedelta(seconds=seconds))
        self.refuse(f"{name} must be hits/seconds (10/900; up to {MOST_HITS}/{LONGEST_WINDOW}) or off")
        return default

    def choice(self, name: str, default: Option, options: tuple[Option, ...]) -> Option:
        value = self.text(name)
        if value is None:
            return default
        for option in options:
            if option == value.lower():
                return option
        self.refuse(f"{name} must be one of: {', '.join(options)}")
        return default

    def items(self, name: str) -> tuple[str, ...]:
        """Return the parts of a list separated by commas, without empty ones."""
        return tuple(part.strip() for part in (self.text(name) or "").split(",") if part.strip())

    def _checked(self, name: str, value: str) -> str | None:
        try:
            value.encode()
        except UnicodeEncodeError:  # bytes of the environment that are not UTF-8 arrive as lone surrogates
            self.refuse(f"{name} is not valid UTF-8")
            return None
        return value or None

    def _read_secret(self, name: str, path: Path) -> str | None:
        try:
            value = path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as exc:
            self.refuse(f"{name}_FILE names a file that cannot be read ({exc.strerror})")
            return None
        except ValueError:
            self.refuse(f"{name}_FILE names a file that is no UTF-8 text")
            return None
        if not value:
            self.refuse(f"{name}_FILE names an empty file")
        return value

    def _read_dotenv(self, path: Path | None) -> Mapping[str, str]:
        if path is None:
            return {}
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            self.refuse(".env is there but cannot be read as UTF-8 text")
            return {}
        values: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = LINE.fullmatch(line)
            if match is None:
                self.refuse(
                    f".env, line {number}, is not NAME=value (quote a value that holds quotes or begins with #)"
                )
                continue
            values[match["name"]] = _value(match)
        return values


def is_readable(path: Path) -> bool:
    """Tell whether this process can read a file."""
    try:
        with path.open("rb"):
            return True
    except (OSError, ValueError):
        return False


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r'\\(["\\$`])', r"\1", match["double"])
    return match["single"] or match["plain"] or ""


def bracketed(host: str) -> str:
    """Return a host as URLs write it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, and reached by nobody else."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
