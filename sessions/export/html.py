"""The report as one HTML file: no scripts, nothing loaded from anywhere, readable without iwb and on paper."""

from __future__ import annotations

from functools import cache

import pygments
from markdown_it import MarkdownIt
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

from sessions.artifacts import AnyArtifact, Graph, Matrix, Model, Points, Program, Prompts, Series, Table, Text
from sessions.export.account import Account, ArtifactAccount, StepAccount, ending, moment, overview, particulars
from sessions.export.drawings import drawing
from sessions.export.heatmaps import heatmap
from sessions.export.plots import curves, scatter
from sessions.export.svg import DEFINITIONS, printed, safe
from sessions.render.artifact import card_rows, fact
from sessions.render.graphs import transitions
from sessions.render.layout import Style
from sessions.render.tables import cell, cells, prompt_cell
from sessions.steps import Note

LONG_FACTS = 300  # characters
LARGEST_TABLE = 1000  # rows

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #ffffff; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; } h2 { border-top: 1px solid #cccccc; padding-top: 1rem; margin-top: 2.5rem; }
pre { background: #f6f6f6; padding: .6rem .8rem; overflow-x: auto; font-size: 13px; line-height: 1.4; }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0; display: block; overflow-x: auto; }
th, td { padding: .15rem .6rem; text-align: left; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
th { border-bottom: 2px solid #999999; } .n { text-align: right; font-variant-numeric: tabular-nums; }
.name { color: #555555; white-space: nowrap; } .legend { color: #555555; font-size: 13px; } .key { margin-right: 1rem; }
figure { margin: .5rem 1rem .5rem 0; overflow-x: auto; } figcaption { font-size: 13px; color: #555555; }
.planes { display: flex; flex-wrap: wrap; } .kind { color: #666666; font-weight: normal; font-size: 85%; }
.status { font-weight: bold; } .failed, .interrupted, .cancelled, .fails, .problem { color: #a40000; }
.note { border-left: 4px solid #c8b866; background: #fbf8ec; padding: .3rem .9rem; margin: .6rem 0; }
.text { border-left: 4px solid #dddddd; padding: .1rem .9rem; } nav ol { padding-left: 1.4rem; }
"""


def html(whole: Account) -> str:
    """The whole investigation as one page, with a list of its steps in front."""
    toc = "".join(
        f'<li value="{e.step.id}"><a href="#step-{e.step.id}">{safe(e.step.operation)}</a>'
        f"{'' if e.step.status == 'done' else ' (' + e.step.status + ')'}</li>"
        for e in whole.steps
    )
    parts = [
        f"<h1>{safe(whole.name)}</h1><p>{safe(overview(whole))}</p>",
        *map(_note, whole.notes),
        f"<nav><ol>{toc}</ol></nav>" if toc else "",
        *map(_step, whole.steps),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{safe(whole.name)}</title><style>{_STYLE}{_code_style()}</style></head>\n"
        f"<body>{DEFINITIONS}\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    )


def _step(entry: StepAccount) -> str:
    step = entry.step
    rows = "".join(f'<tr><td class="name">{safe(n)}</td><td>{safe(value)}</td></tr>' for n, value in particulars(step))
    rest = ending(step).removeprefix(step.status)
    parts = [
        f'<h2 id="step-{step.id}">Step {step.id}: {safe(step.operation)}</h2>',
        f"<pre>iwb run FILE.iwb {safe(step.command)}</pre>",
        f'<p><span class="status {step.status}">{step.status}</span>{safe(rest)}</p>',
        f"<table>{rows}</table>",
        *map(_note, entry.notes),
        *map(_artifact, entry.artifacts),
    ]
    return "\n".join(parts)


def _artifact(entry: ArtifactAccount) -> str:
    stored = entry.stored
    kind = f'<span class="kind">{safe(stored.kind)}</span>'
    parts = [f'<h3 id="artifact-{stored.id}">@{stored.id} {safe(stored.title)} {kind}</h3>']
    if stored.summary:
        parts.append(f"<p>{safe(stored.summary)}</p>")
    if entry.artifact is None:
        parts.append(f'<p class="problem">This artifact cannot be shown: {safe(entry.problem)}</p>')
    else:
        facts = "; ".join(f"{name} {fact(value)}" for name, value in entry.artifact.facts.items())
        if len(facts) > LONG_FACTS:  # the result first; what it depends on is one click away
            parts.append(f'<details class="legend"><summary>conditions</summary>{safe(facts)}</details>')
        elif facts:
            parts.append(f'<p class="legend">{safe(facts)}</p>')
        parts.append(contents(entry.artifact))
    return "\n".join([*parts, *map(_note, entry.notes)])


def _note(note: Note) -> str:
    return f'<div class="note"><p class="legend">Note, {moment(note.created)}</p>{_rendered(note.text)}</div>'


def contents(artifact: AnyArtifact) -> str:
    """The artifact's body as HTML."""
    match artifact:
        case Matrix():
            return heatmap(artifact)
        case Table():
            return _table(artifact)
        case Series():
            return curves(artifact)
        case Points():
            return scatter(artifact)
        case Graph():
            table = f"<pre>{safe(chr(10).join(transitions(artifact, Style(120))))}</pre>"
            return drawing(artifact) + (table if artifact.layout == "automaton" else "")
        case Program():
            return _program(artifact)
        case Prompts():
            return _prompts(artifact)
        case Model():
            rows = "".join(
                f'<tr><td class="name">{safe(n)}</td><td>{safe(v)}</td></tr>' for n, v in card_rows(artifact)
            )
            return f"<table>{rows}</table>"
        case Text():
            return f'<div class="text">{_rendered(artifact.markdown)}</div>'


def _table(artifact: Table) -> str:
    if not artifact.rows:
        return "<p>No rows.</p>"
    numeric = [' class="n"' if c.type in ("int", "float") else "" for c in artifact.columns]
    head = "".join(
        f'<th{kind} title="{safe(c.help)}">{safe(c.name + (f" [{c.unit}]" if c.unit else ""))}</th>'
        for c, kind in zip(artifact.columns, numeric)
    )
    shown = artifact.rows[:LARGEST_TABLE]
    by_column = [cells(artifact, i, shown) for i in range(len(artifact.columns))]
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td{kind} title="{safe(cell(exact))}">{safe(text)}</td>' for exact, text, kind in zip(row, texts, numeric)
        )
        + "</tr>"
        for row, texts in zip(shown, zip(*by_column))
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" + _more(len(shown), len(artifact.rows))


def _prompts(artifact: Prompts) -> str:
    shown = artifact.rows[:LARGEST_TABLE]
    names = [
        n for n in ("clean", "corrupt", "answers", "foils", "group", "problem") if any(getattr(r, n) for r in shown)
    ]
    head = "".join(f"<th>{name}</th>" for name in ("", *names))
    rows = "".join(
        f'<tr><td class="n">{i}</td>' + "".join(f"<td>{safe(prompt_cell(row, n))}</td>" for n in names) + "</tr>"
        for i, row in enumerate(shown)
    )
    rejected = "".join(f"<li>{safe(sentence)}</li>" for sentence in artifact.rejected)
    tokens = f", tokens of {artifact.tokenizer}" if artifact.tokenizer else ""
    return (
        f"<p>Task {safe(artifact.task + tokens)}, {len(artifact.rows):,} rows.</p>"
        + (f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else "")
        + _more(len(shown), len(artifact.rows))
        + (f'<p class="problem">Rejected rows:</p><ul>{rejected}</ul>' if rejected else "")
    )


def _more(shown: int, total: int) -> str:
    return f'<p class="legend">{shown:,} of {total:,} rows.</p>' if shown < total else ""


def _program(artifact: Program) -> str:
    verdicts = "".join(
        f'<li><span class="status">holds</span>: {safe(str(v))}</li>'
        if v.holds
        else f'<li><span class="status fails">FAILS</span>: {safe(str(v))}</li>'
        for v in artifact.verdicts
    )
    verdicts += "".join(
        f'<li><span class="status{" fails" if p.status == "refuted" else ""}">{p.status}</span>: {safe(p.told)}</li>'
        for p in artifact.proofs
    )
    checked = f"<ul>{verdicts}</ul>" if verdicts else "<p>Checked against nothing.</p>"
    return highlighted(artifact.source, artifact.language) + checked


def highlighted(source: str, language: str) -> str:
    """The source with its syntax coloured; as it is when the language is unknown."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    marked: str = pygments.highlight(printed(source), lexer, HtmlFormatter(cssclass="code"))
    return marked


@cache
def _code_style() -> str:
    return str(HtmlFormatter(style="friendly").get_style_defs(".code")) + "\n.code .err { border: none; }"


@cache
def _parser() -> MarkdownIt:
    # Markdown of a stranger: raw HTML is shown as text, and pictures, which a browser would fetch, are not pictures.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _rendered(markdown: str) -> str:
    return str(_parser().render(printed(markdown)))
