"""The program being written and the inputs it is for, and what the engine said of it; plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from sessions.steps import Step
from tui.widgets.code_lines import Mistake

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact, Table

CHECK, COMPILE, TRACE = "rasp.check", "rasp.compile", "rasp.trace"  # the operations

# What of the checked variables is shown first: the rest stands to the right of it.
FIRST_COLUMNS = ("name", "values", "layer", "component", "encoding")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has written. Kept in the session file, so a field that cannot be read is its default."""

    text: str = ""
    vocab: str = ""
    max_len: str = ""
    causal: str = ""  # empty: as the program is meant; else "true" or "false"
    inputs: str = ""  # the input to run

    def values(self) -> dict[str, Any]:
        """The parameters that compile it; what was left empty is left to the operation."""
        given = {"vocab": self.vocab.strip(), "max_len": self.max_len.strip(), "causal": self.causal}
        return {"program": self.text} | {name: value for name, value in given.items() if value}

    def traced_with(self, model: int | None) -> dict[str, Any]:
        """The parameters that run the input through it, and through the model it became, if there is one."""
        values = {"inputs": self.inputs.strip()}
        if self.text.strip():
            values |= {k: v for k, v in self.values().items() if k != "max_len"}
        if model is not None:
            values["model"] = f"@{model}"
        return values

    def made(self, step: Step) -> bool:
        """Whether that step was asked with this program for these inputs."""
        given = step.parameters
        if str(given.get("program", "")).strip() != self.text.strip():
            return False
        wanted = {"vocab": self.vocab, "max_len": self.max_len, "causal": self.causal}
        return all(  # what was left empty may be anything
            not text.strip() or name not in given or _plain(given[name]) == _plain(text)
            for name, text in wanted.items()
        )


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip().lower()


def restored(value: Any) -> Draft:
    """The draft that was kept in the session file, perhaps by another version."""
    try:
        return msgspec.convert(value, Draft)
    except msgspec.ValidationError:
        return Draft()


def mistake_in(table: Table) -> Mistake | None:
    """What is wrong with the program, and where; a mistake without a place stands under the last line."""
    error = table.facts.get("error")
    if not isinstance(error, dict):
        return None
    line, column, length = (max(1, _whole(error.get(name))) for name in ("line", "column", "length"))
    if not _whole(error.get("line")):
        line = 10**6
    return Mistake(line, column, length, str(error.get("message", "")))


def sizes_of(table: Table) -> str:
    """The model that would come out: `3 layers · 2 heads · width 34 · 4,213 parameters · 3.1 ms`."""
    facts = table.facts
    words = []
    for name, one, many in (("layers", "layer", "layers"), ("heads", "head", "heads")):
        if name in facts:
            words.append(f"{facts[name]} {one if facts[name] == 1 else many}")
    words += [f"{name} {facts[name]}" for name in ("width", "hidden") if name in facts]
    if "parameters" in facts:
        words.append(f"{_whole(facts['parameters']):,} parameters")
    if "milliseconds" in facts:
        words.append(f"{float(facts['milliseconds']):.3g} ms")
    return " · ".join(words)


def arranged(table: Table) -> Table:
    """The table of variables with what matters while writing first."""
    names = [column.name for column in table.columns]
    order = [names.index(name) for name in FIRST_COLUMNS if name in names]
    order += [i for i in range(len(names)) if i not in order]
    return msgspec.structs.replace(
        table,
        columns=tuple(table.columns[i] for i in order),
        rows=tuple(tuple(row[i] for i in order) for row in table.rows),
    )


def of_kind(artifacts: tuple[AnyArtifact, ...], kind: str) -> Any:
    """The first of that kind, or None."""
    return next((artifact for artifact in artifacts if artifact.kind == kind), None)


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value == value else 0


def draft_of(text: str, domain: Mapping[str, Any]) -> Draft:
    """A draft of a program whose inputs are known: `vocab`, `max_len`, `causal` of a library entry or an artifact."""
    vocab = domain.get("vocab") or ()
    causal = domain.get("causal")
    return Draft(
        text=text.rstrip("\n") + "\n" if text else "",
        vocab=",".join(map(str, vocab)) if not isinstance(vocab, str) else vocab,
        max_len=str(domain.get("max_len") or ""),
        causal="" if causal is None else str(bool(causal)).lower(),
    )
