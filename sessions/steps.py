"""A step: one run of an operation, with everything needed to understand it, resume it and run it again."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from sessions.errors import ErrorRecord
from sessions.parameters import references_written

Status = Literal["queued", "running", "cancelling", "done", "failed", "cancelled", "interrupted"]
FINISHED: frozenset[str] = frozenset({"done", "failed", "cancelled", "interrupted"})
RESUMABLE: frozenset[str] = frozenset({"cancelled", "interrupted", "failed"})


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a number can depend on besides its parameters. Written with each step that ran."""

    iwb: str = ""
    python: str = ""
    torch: str = ""
    platform: str = ""
    device: str = ""
    dtype: str = ""
    threads: int = 0
    peak_memory_bytes: int = 0  # of the engine's process, up to the end of this step


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the timeline.

    `parameters` are plain values, complete; a reference to an artifact is written `@ID`, under the parameter's own
    name. `given` names those that somebody chose; the others are the defaults of that day.
    `key` is the hash of operation, version, parameters, seed and the hashes of the inputs: equal keys, equal work.
    """

    id: int
    operation: str
    version: int
    parameters: dict[str, Any]
    seed: int
    key: str
    status: Status
    created: float  # seconds since 1970, UTC
    given: tuple[str, ...] = ()
    inputs: dict[str, int] = {}  # parameter name -> artifact id; of a list of references, `models[0]`, `models[1]`...
    seconds: float = 0.0  # computing time, added up over interruptions
    done: int = 0
    total: int = 0
    environment: Environment = Environment()
    error: ErrorRecord | None = None

    @property
    def resumable(self) -> bool:
        return self.status in RESUMABLE

    @property
    def references(self) -> frozenset[str]:
        """The parameters that refer to artifacts."""
        return frozenset(input_place(place)[0] for place in self.inputs)

    def referring(self, to: Callable[[int], str]) -> dict[str, Any]:
        """The parameters with every reference written as `to` says of the artifact it points to."""
        values = dict(self.parameters)
        for place, artifact in self.inputs.items():
            name, index = input_place(place)
            if index is None:
                values[name] = to(artifact)
            else:
                values[name] = [to(artifact) if i == index else value for i, value in enumerate(values[name])]
        return values

    @property
    def command(self) -> str:
        """The step as a person typed it, or would, after `iwb run FILE`: what was left to the defaults is left out."""
        chosen = {name: value for name, value in self.parameters.items() if name in self.given}
        lists = {name for name, place in map(input_place, self.inputs) if place is not None}
        texts = {
            name: v if isinstance(v, str) else references_written(v) if name in lists else written(v)
            for name, v in chosen.items()
        }
        words = [self.operation, *(f"{name}={shlex.quote(text)}" for name, text in texts.items())]
        return " ".join(words) + (f" --seed {self.seed}" if self.seed else "")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as the timeline lists it, without its payload."""

    id: int
    step: int
    kind: str
    title: str
    summary: str
    sha256: str
    bytes: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A remark in Markdown on a step, on an artifact, or on the investigation (both None)."""

    id: int
    created: float
    text: str
    step: int | None = None
    artifact: int | None = None


def input_place(place: str) -> tuple[str, int | None]:
    """The parameter that a key of `Step.inputs` names, and the place in its list where it is one."""
    name, bracket, index = place.partition("[")
    return (name, int(index.removesuffix("]"))) if bracket else (name, None)


def written(value: Any) -> str:
    """A parameter value as a person types it: text quoted where a shell needs it, anything else as JSON."""
    return shlex.quote(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def identity_key(
    operation: str,
    version: int,
    parameters: dict[str, Any],
    seed: int,
    input_hashes: Mapping[str, str | Sequence[str]],
) -> str:
    """The hash that says two steps are the same work. References count by what they point to, not by their number; a
    list of references has a list of hashes."""
    values = {name: input_hashes.get(name, value) for name, value in parameters.items()}
    text = msgspec.json.encode([operation, version, values, seed], order="deterministic")
    return hashlib.sha256(text).hexdigest()
