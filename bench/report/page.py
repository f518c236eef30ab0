"""Puts plots and numbers of one run together."""

from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from bench.report import plots
from bench.results import Document, Measured
from bench.tables import COLUMNS, about, cells

STYLE = (Path(__file__).parent / "page.css").read_text()


def write(document: Document, file: Path) -> None:
    """Write the page of a run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(document))


def page(document: Document) -> str:
    """Return the page."""
    groups = groupby(document.results, key=lambda result: (result.group, result.state))
    parts = [_group(name, state, list(results)) for (name, state), results in groups]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Cypher: what the hot paths cost</title>'
        f"<style>{STYLE}</style></head><body><h1>What the hot paths cost</h1>"
        f"{_list(about(document))}"
        "<p>1 is the floor: the same work with nothing of Cypher in it, in the same run, round by round. The line is "
        "eight tenths of the rounds, the dot their middle, the bar across what was promised.</p>"
        f"{plots.costs(document.results)}{''.join(parts)}</body></html>\n"
    )


def _group(name: str, state: str, results: list[Measured]) -> str:
    figures = "".join(
        f"<figure>{plots.latencies(each)}<figcaption>{escape(each.name)}<br>"
        f'<span class="key">beside {escape(each.floor)}</span></figcaption></figure>'
        for each in results
    )
    return (
        f"<h2>{escape(name)}</h2><p>{escape(state)}</p>"
        f"<table><thead>{_row('th', COLUMNS)}</thead><tbody>{''.join(_row('td', cells(each)) for each in results)}"
        f'</tbody></table><div class="plots">{figures}</div>'
    )


def _row(tag: str, texts: "list[str] | tuple[str, ...]") -> str:
    return f"<tr>{''.join(_elements(tag, texts))}</tr>"


def _list(texts: list[str]) -> str:
    return f"<ul>{''.join(_elements('li', texts))}</ul>"


def _elements(tag: str, texts: "list[str] | tuple[str, ...]") -> Iterator[str]:
    return (f"<{tag}>{escape(text)}</{tag}>" for text in texts)
