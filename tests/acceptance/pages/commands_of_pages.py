"""The commands that the pages for operators show: lines of ```bash blocks, rows of tables, words in a sentence."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", *(f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md"))))
#: What a sentence may name beside Cypher's own commands.
PROGRAMS = ("cypher", "make", "openssl")


def shown(page: str) -> list[str]:
    """Return the lines of the page's bash blocks, without comments; a line that goes on is one with the next."""
    blocks = re.findall(r"^```bash\n(.*?)^```", _text(page), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", "").splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s+)#.*$", "", line).strip())]


def tabled(page: str) -> list[str]:
    """Return each command of the tables that begin with `cypher GROUP …`, and again with each option it names."""
    found = []
    for group, rows in re.findall(r"^\| `cypher (\w+) …`[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", _text(page), re.M):
        for row in rows.splitlines():
            command = ""
            for word in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
                is_option = word.startswith("-")
                command = command if is_option else f"cypher {group} {word}"
                found.append(f"{command} {word}" if is_option else command)
    return found


def spoken(page: str) -> list[str]:
    """Return the commands that stand in sentences, without those of which only the name is said."""
    text = re.sub(r"^```.*?^```", "", _text(page), flags=re.M | re.S)
    words = sorted(set(re.findall(r"`([^`\n]+)`", text)))
    return [word for word in words if word.split()[0] in PROGRAMS and len(word.split()) > 1 and "…" not in word]


def is_covered(command: str, by: str) -> bool:
    """Say whether a command that was run is the one that a page names: its words but for NAMEs, and all its options."""
    named, ran = (shlex.split(each.removeprefix(".venv/bin/")) for each in (command, by))
    first = [*takewhile(lambda word: not (word.startswith("-") or word.isupper()), named)]
    return ran[: len(first)] == first and {word for word in named if not word.isupper()} <= set(ran)


def _text(page: str) -> str:
    return (ROOT / page).read_text()
