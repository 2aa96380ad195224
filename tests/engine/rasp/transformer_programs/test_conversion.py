"""The program's text against the network on every input, and, run as Python, against its own interpretation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.rasp.transformer_programs.agreement import Agreement, answers, compare, inputs
from engine.rasp.transformer_programs.conversion import convert, observe, variable_names
from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.interpretation import ProgramText
from engine.rasp.transformer_programs.model import Shape, Weights
from engine.rasp.transformer_programs.structure import Structure
from engine.rasp.transformer_programs.tasks import Task, all_payloads, encode
from engine.rasp.transformer_programs.training import predict
from engine.rasp.transformer_programs.writing import write
from tests.engine.rasp.transformer_programs.networks import random_network


def converted(task: Task, shape: Shape, weights: Weights, *, complete: bool = True) -> tuple[Structure, str]:
    seen = observe(shape, weights, task, all_payloads(task), complete=complete)
    structure = convert(shape, weights, task, seen)
    return structure, write(structure)


def run_as_python(source: str) -> Any:
    """Only here, on a text this test has just made, is a program executed."""
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102
    return names["run"]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["hist", "reverse", "dyck1", "dyck2", "most_freq"])
def test_the_text_says_what_the_network_says_on_every_input(name: str, seed: int) -> None:
    task, shape, weights = random_network(name, seed)
    _, source = converted(task, shape, weights)
    program, total = ProgramText(source), Agreement()
    complete, payloads = inputs(task, 10_000, np.random.default_rng(0))
    assert complete
    for chunk in payloads:
        total = total.and_then(compare(program, shape, weights, task, chunk)[0])
    assert total == Agreement(task.size, task.size)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["sort", "dyck2"])
def test_executed_as_python_the_text_says_the_same(name: str, seed: int) -> None:
    task, shape, weights = random_network(name, seed, vocabulary=5, length=5)
    _, source = converted(task, shape, weights)
    run, program = run_as_python(source), ProgramText(source)
    for payloads in all_payloads(task):
        network = predict(shape, weights, encode(task, payloads).ids, hard)[:, 1 : payloads.shape[1] + 1]
        interpreted = answers(program, task, payloads)
        for row, given, wanted in zip(payloads, interpreted, network):
            executed = run([task.symbols[k] for k in row])
            assert executed == [task.classes[c] for c in given] == [task.classes[c] for c in wanted]


@pytest.mark.parametrize("seed", range(4))
def test_without_all_inputs_nothing_is_left_out_and_it_still_holds(seed: int) -> None:
    task, shape, weights = random_network("hist", seed)
    structure, source = converted(task, shape, weights, complete=False)
    assert not structure.enumerated
    assert len(structure.classifier.reads) == sum(map(len, variable_names(shape))) - 1  # `ones` is folded in
    program, total = ProgramText(source), Agreement()
    for chunk in all_payloads(task):
        total = total.and_then(compare(program, shape, weights, task, chunk)[0])
    assert total == Agreement(task.size, task.size)


def test_only_what_somebody_reads_is_written() -> None:
    task, shape, weights = random_network("hist", 5)
    weights["classifier.numerical"].zero_()
    weights["classifier.categorical"][1:].zero_()  # the tokens alone decide
    structure, source = converted(task, shape, weights)
    assert structure.parts == ()
    assert len(structure.dropped) == 12
    assert structure.classifier.answers is not None
    assert "look_up(CLASS_OF, tokens[1:])" in source
    assert "select" not in source


def test_a_disagreement_is_shown_with_its_input() -> None:
    task, shape, weights = random_network("reverse", 0)
    _, source = converted(task, shape, weights)
    weights["classifier.categorical"].neg_()
    total = Agreement()
    for chunk in all_payloads(task):
        total = total.and_then(compare(ProgramText(source), shape, weights, task, chunk)[0])
    assert total.agreed < total.tested
    assert "program" in total.difference
    assert "the network" in total.difference
