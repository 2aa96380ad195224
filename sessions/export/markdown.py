"""The report in Markdown: readable as it is, and in every viewer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sessions.artifacts import AnyArtifact, Program, Prompts, Table, Text
from sessions.export.account import Account, ArtifactAccount, StepAccount, ending, moment, overview, particulars
from sessions.render import body
from sessions.render.artifact import fact
from sessions.render.tables import cells, prompt_cell
from sessions.steps import Note

_WIDTH = 100
_MAX_ROWS = 60
_MAX_PROMPTS = 12  # prompts are long, and alike


def markdown(whole: Account) -> str:
    """The whole investigation, step by step, unfinished steps included."""
    parts = [f"# {plain(whole.name)}", overview(whole), *_notes(whole.notes)]
    for entry in whole.steps:
        parts += _step(entry)
    return "\n\n".join(parts) + "\n"


def _step(entry: StepAccount) -> list[str]:
    step = entry.step
    lines = [f"- {plain(name)}: {code(value)}" for name, value in particulars(step)]
    parts = [
        f"## Step {step.id}: {plain(step.operation)}",
        fenced(f"iwb run FILE.iwb {step.command}", "sh"),
        f"**{step.status}**" + plain(ending(step)).removeprefix(step.status),
        "\n".join(lines),
        *_notes(entry.notes),
    ]
    for artifact in entry.artifacts:
        parts += _artifact(artifact)
    return parts


def _artifact(entry: ArtifactAccount) -> list[str]:
    parts = [f"### @{entry.stored.id} {plain(entry.stored.title)} ({entry.stored.kind})"]
    if entry.stored.summary:
        parts.append(plain(entry.stored.summary))
    if entry.artifact is None:
        return [*parts, f"**This artifact cannot be shown:** {plain(entry.problem)}", *_notes(entry.notes)]
    if entry.artifact.facts:
        parts.append("\n".join(f"- {plain(name)}: {plain(fact(v))}" for name, v in entry.artifact.facts.items()))
    return [*parts, contents(entry.artifact), *_notes(entry.notes)]


def contents(artifact: AnyArtifact) -> str:
    """The artifact's body: tables and code as Markdown has them, the rest as preformatted text."""
    match artifact:
        case Table() if artifact.rows:
            return _table(artifact)
        case Prompts() if artifact.rows:
            return _prompts(artifact)
        case Text():
            return quoted(artifact.markdown)
        case Program():
            verdicts = "\n".join(
                f"- **{'holds' if verdict.holds else 'FAILS'}**: {plain(str(verdict))}" for verdict in artifact.verdicts
            )
            proofs = "\n".join(f"- **{proof.status}**: {plain(proof.told)}" for proof in artifact.proofs)
            checked = "\n".join(part for part in (verdicts, proofs) if part)
            return f"{fenced(artifact.source, artifact.language)}\n\n{checked or 'Checked against nothing.'}"
        case _:
            return fenced(body(artifact, width=_WIDTH, max_rows=_MAX_ROWS), "")


def _table(artifact: Table) -> str:
    header = [column.name + (f" [{column.unit}]" if column.unit else "") for column in artifact.columns]
    rules = ["---:" if column.type in ("int", "float") else "---" for column in artifact.columns]
    shown = artifact.rows[:_MAX_ROWS]
    by_column = [cells(artifact, i, shown) for i in range(len(artifact.columns))]
    return _rows(header, rules, list(zip(*by_column)), len(artifact.rows))


def _prompts(artifact: Prompts) -> str:
    shown = artifact.rows[:_MAX_PROMPTS]
    names = [
        n for n in ("clean", "corrupt", "answers", "foils", "group", "problem") if any(getattr(r, n) for r in shown)
    ]
    rows = [[str(i), *(prompt_cell(row, name) for name in names)] for i, row in enumerate(shown)]
    text = _rows(["", *names], ["---:", *("---" for _ in names)], rows, len(artifact.rows))
    rejected = "\n".join(f"- {plain(sentence)}" for sentence in artifact.rejected)
    return text + (f"\n\nRejected rows:\n\n{rejected}" if rejected else "")


def _rows(header: Sequence[str], rules: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    lines = ["| " + " | ".join(plain(text) for text in line) + " |" for line in (header, *rows)]
    lines.insert(1, "| " + " | ".join(rules) + " |")
    more = f"\n\n{len(rows):,} of {total:,} rows." if len(rows) < total else ""
    return "\n".join(lines) + more


def _notes(notes: tuple[Note, ...]) -> list[str]:
    return [quoted(f"**Note, {moment(note.created)}.** {note.text}") for note in notes]


def quoted(text: str) -> str:
    """Foreign Markdown as a block quote, so that its headings and rules stay inside it."""
    return "\n".join(("> " + line).rstrip() for line in text.rstrip("\n").splitlines()) or ">"


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{re.sub(r'[^A-Za-z0-9_+-]', '', language)}\n{text.rstrip()}\n{fence}"


def code(text: str) -> str:
    """Inline code, whatever backticks it holds."""
    text = " ".join(text.splitlines())
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    tick = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{tick}{pad}{text}{pad}{tick}"


def plain(text: str) -> str:
    """Text that Markdown shows as it is: on one line, with the characters that mean something escaped."""
    # An underscore inside a word means nothing to Markdown; operations and parameters are full of them.
    return re.sub(r"[\\`*<>\[\]|#]|(?<!\w)_|_(?!\w)", lambda found: "\\" + found[0], " ".join(text.split()))
