"""The formats an investigation exports to, by the name that `iwb export --to` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from sessions.errors import CallError, nearest
from sessions.export.account import account
from sessions.export.document import document
from sessions.export.html import html
from sessions.export.markdown import markdown
from sessions.export.notebook import notebook
from sessions.investigation import Investigation
from sessions.recipes import recipe_of, write

To = Literal["md", "html", "ipynb", "recipe", "json"]


class Format(NamedTuple):
    """One export: the file's suffix, what it is in a few words, and the function that writes it."""

    suffix: str
    what: str
    write: Callable[[Investigation, str], str]


FORMATS: dict[str, Format] = {
    "md": Format(".md", "a report in Markdown", lambda i, name: markdown(account(i, name))),
    "html": Format(".html", "a report in one self-contained HTML file", lambda i, name: html(account(i, name))),
    "ipynb": Format(".ipynb", "a Jupyter notebook that does the steps again", notebook),
    "recipe": Format(".toml", "the steps without results, for iwb run", lambda i, name: write(recipe_of(i, name=name))),
    "json": Format(".json", "everything as one JSON document", lambda i, name: document(account(i, name))),
}
assert set(FORMATS) == set(get_args(To))


def export(investigation: Investigation, to: str, *, name: str = "") -> str:
    """The investigation as text in the format `to` (a key of FORMATS). CallError for an unknown one.

    `name` is the title; without it, the session file's name.
    """
    if to not in FORMATS:
        raise CallError(f"unknown format '{to}'", "--to", nearest(to, FORMATS))
    return FORMATS[to].write(investigation, name or investigation.path.stem)
