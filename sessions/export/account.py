"""What every export says of an investigation, gathered once: steps, what they left, notes, and how each step ended."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple

from sessions.artifacts import AnyArtifact
from sessions.errors import IwbError
from sessions.investigation import Investigation
from sessions.render import duration, size
from sessions.steps import Environment, Note, Step, Stored, written


class ArtifactAccount(NamedTuple):
    """One artifact with its notes. `artifact` is None, and `problem` says why, when its bytes cannot be read."""

    stored: Stored
    artifact: AnyArtifact | None
    notes: tuple[Note, ...]
    problem: str = ""


class StepAccount(NamedTuple):
    step: Step
    artifacts: tuple[ArtifactAccount, ...]
    notes: tuple[Note, ...]


class Account(NamedTuple):
    """The whole investigation. `notes` are those on no step and no artifact."""

    name: str
    steps: tuple[StepAccount, ...]
    notes: tuple[Note, ...]


def account(investigation: Investigation, name: str) -> Account:
    """Everything there is to say. A damaged artifact does not stop the export: it is said in its place."""
    notes = tuple(investigation.notes())
    steps = []
    for step in investigation.steps():
        left = [_artifact(investigation, stored, notes) for stored in investigation.artifacts(step.id)]
        own = tuple(note for note in notes if note.step == step.id and note.artifact is None)
        steps.append(StepAccount(step, tuple(left), own))
    return Account(name, tuple(steps), tuple(note for note in notes if note.step is None and note.artifact is None))


def _artifact(investigation: Investigation, stored: Stored, notes: tuple[Note, ...]) -> ArtifactAccount:
    own = tuple(note for note in notes if note.artifact == stored.id)
    try:
        return ArtifactAccount(stored, investigation.artifact(stored.id), own)
    except IwbError as error:
        return ArtifactAccount(stored, None, own, str(error))


def ending(step: Step) -> str:
    """How the step ended, in words that hide nothing: status, how far it came, how long it took, what went wrong."""
    took = f" after {duration(step.seconds)}" if step.seconds else ""
    reached = f" at {step.done:,} of {step.total:,}" if step.total and step.status != "done" else ""
    match step.status:
        case "done":
            return f"done in {duration(step.seconds)}"
        case "failed":
            return f"failed{reached}{took}: {step.error or 'no reason was recorded'}"
        case "interrupted" | "cancelled":
            why = f": {step.error}" if step.error else ""
            return f"{step.status}{reached}{took}, without a result{why}; it can be resumed"
        case _:
            return f"{step.status}{reached}: not finished when this was written"


def particulars(step: Step) -> list[tuple[str, str]]:
    """Name and value of everything a step's numbers depend on, for a list or a table. The command is not among them."""
    rows = [(name, written(value)) for name, value in step.parameters.items() if name in step.given]
    rest = [f"{name}={written(value)}" for name, value in step.parameters.items() if name not in step.given]
    if rest:
        rows.append(("left at their defaults", " ".join(rest)))
    rows += [("seed", str(step.seed)), ("operation version", str(step.version)), ("started", moment(step.created))]
    environment = surroundings(step.environment)
    return [*rows, ("environment", environment)] if environment else rows


def surroundings(environment: Environment) -> str:
    """The environment on one line; what was not recorded is left out."""
    versions = [
        f"{name} {getattr(environment, name)}" for name in ("iwb", "python", "torch") if getattr(environment, name)
    ]
    rest = [environment.platform, environment.device, environment.dtype]
    if environment.threads:
        rest.append("1 thread" if environment.threads == 1 else f"{environment.threads} threads")
    if environment.peak_memory_bytes:
        rest.append(f"{size(environment.peak_memory_bytes)} at most")
    return ", ".join([*versions, *(part for part in rest if part)])


def overview(whole: Account) -> str:
    """One sentence: how many steps, how they ended, when and with what."""
    if not whole.steps:
        return "No steps yet."
    counts = Counter(entry.step.status for entry in whole.steps)
    endings = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    first = min(entry.step.created for entry in whole.steps)
    seconds = sum(entry.step.seconds for entry in whole.steps)
    steps = "1 step" if len(whole.steps) == 1 else f"{len(whole.steps)} steps"
    return f"{steps} ({endings}), begun {moment(first)}, {duration(seconds)} of computing."


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
