"""Does the text of a program say what the network says? Both are asked, on every input or on many drawn ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.interpretation import ProgramText
from engine.rasp.transformer_programs.model import Shape, Weights
from engine.rasp.transformer_programs.tasks import Codes, Task, all_payloads, encode, sample_payloads
from engine.rasp.transformer_programs.training import predict
from sessions.errors import IwbError

BATCH = 8192


class Agreement(NamedTuple):
    """Sequences on which every position agrees, of those tested; the first that does not, in words."""

    agreed: int = 0
    tested: int = 0
    difference: str = ""

    def and_then(self, other: Agreement) -> Agreement:
        return Agreement(self.agreed + other.agreed, self.tested + other.tested, self.difference or other.difference)


def inputs(task: Task, most: int, rng: np.random.Generator) -> tuple[bool, Iterator[Codes]]:
    """Whether these are all inputs, and the inputs in batches of one length: all if there are at most `most`."""
    complete = task.size <= most
    chunks: Iterable[Codes] = all_payloads(task) if complete else sample_payloads(task, most, rng)
    return complete, (chunk[k : k + BATCH] for chunk in chunks for k in range(0, len(chunk), BATCH))


def answers(program: ProgramText, task: Task, payloads: Codes) -> Int[np.ndarray, "sequence position"]:
    """The program's classes as indices; -2 for what is no class of the task."""
    column = program.outputs(task.symbols, payloads)
    numbers = [task.classes.index(str(v)) if str(v) in task.classes else -2 for v in column.values]
    if column.codes.shape != payloads.shape:
        raise IwbError(f"the program gives {column.codes.shape[1]} classes for {payloads.shape[1]} tokens", "run")
    return np.asarray(np.array(numbers, dtype=np.int64)[column.codes])


def compare(
    program: ProgramText, shape: Shape, weights: Weights, task: Task, payloads: Codes
) -> tuple[Agreement, Agreement]:
    """The program beside the discrete network, and beside the task's target, on payloads of one length."""
    given = answers(program, task, payloads)
    length = payloads.shape[1]
    network = predict(shape, weights, encode(task, payloads).ids, hard)[:, 1 : length + 1]
    return (
        _agreement(task, payloads, given, network, "the network"),
        _agreement(task, payloads, given, task.target(task, payloads), "the target"),
    )


def _agreement(task: Task, payloads: Codes, given: Codes, other: Codes, name: str) -> Agreement:
    wrong = np.flatnonzero((given != other).any(axis=1))
    if not len(wrong):
        return Agreement(len(payloads), len(payloads))
    k = int(wrong[0])

    def words(codes: Codes, texts: tuple[str, ...]) -> str:
        return " ".join(texts[c] if c >= 0 else "?" for c in codes)

    difference = (
        f"{words(payloads[k], task.symbols)}: program {words(given[k], task.classes)}, "
        f"{name} {words(other[k], task.classes)}"
    )
    return Agreement(len(payloads) - len(wrong), len(payloads), difference)
