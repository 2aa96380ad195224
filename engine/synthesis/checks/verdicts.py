"""The verdicts on an emitted program: what was tested, sequence by sequence, and what is proved.

The program's text is run in the sandbox, beside the network and, where the task is known, beside the task's target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.models.protocols import RecurrentModel
from engine.synthesis.checks.agreement import (
    CHUNK,
    Agreement,
    chunks,
    compare,
    exhaustive,
    in_words,
    network_outputs,
    tested,
)
from engine.synthesis.checks.proving import prove
from engine.synthesis.domain import Domain
from engine.synthesis.programs.sandbox import Sandbox
from engine.synthesis.tasks.benchmark import TASKS, Task
from engine.synthesis.tasks.specifications import SPECIFICATIONS
from sessions.artifacts import Proof, Verdict


def known_task(model: RecurrentModel) -> Task | None:
    """The benchmark's task that the network says it was trained on."""
    return next((t for t in TASKS if t.name == model.task and t.inputs == model.inputs), None)


def chunk_count(domain: Domain) -> int:
    return -(-tested(domain) // CHUNK)


def check(
    source: str,
    model: RecurrentModel,
    domain: Domain,
    seed: int,
    *,
    saved: Mapping[str, Any] | None = None,
    keep: Callable[[str, Any], None] = lambda unit, value: None,
    progress: Callable[[int], None] = lambda chunk: None,
) -> tuple[Verdict, ...]:
    """Agreement with the network, and with the target of the task that it was trained on.

    `saved` holds the chunks an earlier run has `keep`t.
    """
    task = known_task(model)
    sums = [Agreement(), Agreement()]
    known = dict(saved or {})
    with Sandbox(source) as sandbox:
        for number, x in enumerate(chunks(domain, seed)):
            progress(number)
            unit = f"check {number}"
            if unit not in known:
                y = sandbox.outputs(x)
                parts = [compare(x, y, network_outputs(model, x), "network")]
                if task is not None:
                    parts.append(compare(x, y, task.target(x), "target"))
                known[unit] = [list(part) for part in parts]
                keep(unit, known[unit])
            sums = [one.and_then(Agreement(*part)) for one, part in zip(sums, known[unit])]
    compared = ("the network", "the task's target") if task is not None else ("the network",)
    return tuple(
        Verdict(
            against=against,
            agreed=agreement.agreed,
            tested=agreement.tested,
            exhaustive=exhaustive(domain),
            domain=in_words(domain),
            counterexample=agreement.difference,
        )
        for against, agreement in zip(compared, sums)
    )


def prove_program(source: str, model: RecurrentModel, domain: Domain) -> tuple[Proof, ...]:
    """What a solver says of the program beside the specification of the task; nothing where the task is not known."""
    task = known_task(model)
    if task is None:
        return ()
    return prove(source, SPECIFICATIONS[task.name], domain).proofs
