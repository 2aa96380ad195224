"""The tasks prompts can be made for: what each is, and what may be chosen in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from engine.prompts import docstring, greater_than, induction, ioi, tpp
from sessions.artifacts import PromptRow
from sessions.errors import CallError, nearest

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer


class Task(NamedTuple):
    name: str
    what: str
    templates: tuple[str, ...]
    corrupt: tuple[str, ...]  # kinds of corrupt partner, the standard one first
    options: tuple[str, ...]  # further parameters of `prompts.make` that mean something here
    metrics: tuple[str, ...]  # the metrics the task is usually read with, the usual first
    source: str


TASKS: tuple[Task, ...] = (
    Task(
        "tpp",
        "Transitive property: a leads to b, b leads to c, so a leads to ... c. Foil: b.",
        tpp.TEMPLATES,
        tpp.CORRUPT,
        ("template", "variant", "nouns", "part"),
        ("logit_diff", "accuracy", "loss", "kl"),
        "the seed paper's seven templates; corrupt partners are ours",
    ),
    Task(
        "ioi",
        "Indirect object: of two names, the one that was mentioned once follows. Foil: the name mentioned twice.",
        ioi.TEMPLATES,
        ("abc",),
        ("template", "order"),
        ("logit_diff", "accuracy", "kl"),
        "Wang et al. 2022; wording ours",
    ),
    Task(
        "greater_than",
        "Greater-than: something lasted from a year to a later one of the same century; every greater ending is right.",
        (greater_than.TEMPLATE,),
        ("year_01",),
        (),
        ("prob_diff", "kl"),
        "Hanna et al. 2023",
    ),
    Task(
        "induction",
        "Induction: a random block of words comes again; every token of the second block is predicted.",
        (),
        ("fresh_block",),
        ("length", "nouns"),
        ("loss", "accuracy", "kl"),
        "Olsson et al. 2022; the offline variant of Conmy et al. 2023's task",
    ),
    Task(
        "docstring",
        "Docstring: a function's documentation names its arguments in order; the third follows. Foils: the others.",
        (docstring.TEMPLATE,),
        ("random_random",),
        (),
        ("logit_diff_max", "logit_diff", "accuracy", "kl"),
        "Heimersheim and Janiak 2023; words ours",
    ),
)


def task_named(name: str) -> Task:
    """The task, or CallError with the nearest name."""
    for task in TASKS:
        if task.name == name:
            return task
    raise CallError(f"unknown task '{name}'", "prompts", nearest(name, [task.name for task in TASKS]))


def available_tasks() -> list[dict[str, Any]]:
    """Every task as plain values, for `iwb prompts`."""
    return [
        {
            "name": task.name,
            "what": task.what,
            "templates": list(task.templates),
            "corrupt": list(task.corrupt),
            "options": list(task.options),
            "metrics": list(task.metrics),
            "source": task.source,
        }
        for task in TASKS
    ]


def generate(
    name: str,
    rng: np.random.Generator,
    n: int,
    *,
    corrupt: str = "standard",
    tokenizer: Tokenizer | None = None,
    template: int | None = None,
    variant: str | None = None,
    order: str | None = None,
    length: int | None = None,
    nouns: str | None = None,
    part: str | None = None,
) -> list[PromptRow]:
    """`n` prompts of a task; `corrupt` is `standard`, `none`, or a kind of that task's.

    CallError for an option the task does not have, and for a kind of corrupt partner it does not know.
    """
    task = task_named(name)
    given: dict[str, Any] = {"template": template, "variant": variant, "order": order, "length": length}
    given |= {"nouns": nouns, "part": part}
    options = {option: value for option, value in given.items() if value is not None}
    for option in options:
        if option not in task.options:
            has = f"it has {', '.join(task.options)}" if task.options else "it has no such options"
            raise CallError(f"task {name} has no '{option}'", f"parameter '{option}'", f"leave it out; {has}")
    if corrupt not in ("standard", "none", *task.corrupt):
        known = ", ".join(("standard", *task.corrupt, "none"))
        raise CallError(f"task {name} has no corrupt partner '{corrupt}'", "parameter 'corrupt'", f"one of {known}")
    rows = _make(task, rng, n, corrupt if corrupt in task.corrupt else task.corrupt[0], tokenizer, options)
    return [_without_partner(row) for row in rows] if corrupt == "none" else list(rows)


def _make(
    task: Task, rng: np.random.Generator, n: int, corrupt: str, tokenizer: Tokenizer | None, options: dict[str, Any]
) -> Sequence[PromptRow]:
    match task.name:
        case "tpp":
            kind = next(known for known in tpp.CORRUPT if known == corrupt)
            return tpp.make(rng, n, corrupt=kind, tokenizer=tokenizer, **options)
        case "ioi":
            return ioi.make(rng, n, tokenizer=tokenizer, **options)
        case "greater_than":
            return greater_than.make(rng, n, tokenizer=tokenizer, **options)
        case "docstring":
            return docstring.make(rng, n, tokenizer=tokenizer)
        case _:
            return induction.make(rng, n, tokenizer=tokenizer, **options)


def _without_partner(row: PromptRow) -> PromptRow:
    return msgspec.structs.replace(row, corrupt="")
