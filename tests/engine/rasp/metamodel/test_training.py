"""Training: learns by heart, ends in the same weights however often it was interrupted, and on several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from engine.rasp.metamodel import launch
from engine.rasp.metamodel.architecture import SMOKE, Metamodel
from engine.rasp.metamodel.data import Corpus
from engine.rasp.metamodel.training import (
    Recipe,
    State,
    Training,
    from_plain,
    learning_rate,
    measure,
    plain,
    token_loss,
)
from engine.rasp.sampling.writing import write
from sessions.packing import pack, unpack
from tests.engine.rasp.metamodel.conftest import SOURCE, TINY

RECIPE = Recipe(steps=12, batch=4, lr=2e-3, warmup=3, cosine=True, seed=5, validate_every=5)


def test_it_learns_ten_programs_by_heart(learnt: Metamodel, corpus: Corpus) -> None:
    loss, tokens, programs = measure(learnt, corpus, 100)
    assert loss < 0.1
    assert (tokens, programs) == (1, 1)


def test_the_loss_is_that_of_every_program_token_but_the_first(corpus: Corpus) -> None:
    model = Metamodel(TINY).eval()
    weights, tokens = corpus.batch(np.arange(4))
    logits = model(weights, tokens).log_softmax(dim=-1)
    wanted = -sum(
        float(logits[row, at - 1, tokens[row, at]]) for row in range(4) for at in range(1, int(corpus.counts[row]))
    )
    assert float(token_loss(model(weights, tokens), tokens)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("stops", [[5], [1, 7], [3, 4, 11]])
def test_interrupted_training_ends_in_the_same_weights(corpus: Corpus, stops: list[int]) -> None:
    whole = Training(TINY, RECIPE, corpus, corpus)
    wanted = whole.run().state_dict()
    state: State | None = None
    for stop in stops:
        part = Training(TINY, RECIPE, corpus, corpus, state=state)
        part.run(until=stop)
        state = from_plain(unpack(pack(plain(part.state()))))  # through a session's checkpoint
    last = Training(TINY, RECIPE, corpus, corpus, state=state)
    found = last.run().state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert last.curves == whole.curves
    assert [point.step for point in whole.curves] == [5, 10, 12]


def test_a_seed_says_everything(corpus: Corpus) -> None:
    def trained(seed: int) -> torch.Tensor:
        return Training(TINY, msgspec.structs.replace(RECIPE, seed=seed), corpus, corpus).run().embed.weight

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_every_epoch_goes_once_through_all_programs(corpus: Corpus) -> None:
    training = Training(TINY, msgspec.structs.replace(RECIPE, batch=5), corpus, corpus)
    for epoch in range(3):
        seen = np.concatenate([training._batch(2 * epoch), training._batch(2 * epoch + 1)])
        assert sorted(seen.tolist()) == list(range(10))


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=100, lr=1e-3, warmup=10, cosine=True)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[9] == rates[10] == 1e-3
    assert rates[55] == pytest.approx(5e-4, rel=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert {learning_rate(Recipe(), step) for step in (0, 50, 99_999)} == {5e-4}  # the published one is constant


def _dataset(folder: Path) -> Path:
    write(folder, 60, SOURCE.plan)
    return folder


def test_the_launcher_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "data")
    arguments = [str(dataset), "", "--size", "smoke", "--batch", "8", "--cpu", "--checkpoint-every", "2"]

    def run(out: str, steps: int, **changed: str) -> int:
        return launch.main([str(dataset), str(tmp_path / out), *arguments[2:], "--steps", str(steps)])

    assert run("whole", 6) == 0
    # a checkpoint of step 4, as a run that was killed leaves it
    real = launch._save

    def save(path: Path, state: State, *rest: object) -> None:
        if state.step <= 4:
            real(path, state, *rest)  # type: ignore[arg-type]

    launch._save = save  # type: ignore[assignment]
    try:
        assert run("parts", 6) == 0
    finally:
        launch._save = real
    (tmp_path / "parts" / "metamodel.safetensors").unlink()
    assert run("parts", 6) == 0
    whole, parts = (load_file(tmp_path / out / "metamodel.safetensors") for out in ("whole", "parts"))
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    assert json.loads((tmp_path / "parts" / "curves.json").read_text())[-1]["step"] == 6
    assert run("parts", 7) == 2  # another recipe
    assert launch.main([str(tmp_path / "none"), str(tmp_path / "out"), "--cpu"]) == 2


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "data")
    common = ["--size", "smoke", "--batch", "7", "--steps", "4", "--cpu"]
    assert launch.main([str(dataset), str(tmp_path / "one"), *common]) == 0
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, "-m", "engine.rasp.metamodel.launch", str(dataset), str(tmp_path / "two"), *common],
        check=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    one, two = (load_file(tmp_path / out / "metamodel.safetensors") for out in ("one", "two"))
    worst = max(float(np.abs(one[name] - two[name]).max()) for name in one)
    moved = max(float(np.abs(one[name] - w.numpy()).max()) for name, w in Metamodel(SMOKE).state_dict().items())
    assert worst < 1e-3 * moved


@pytest.mark.gpu
def test_a_gpu_trains_what_the_cpu_trains(rows: list, corpus: Corpus) -> None:  # type: ignore[type-arg]
    there = Corpus(rows, TINY, device="cuda")
    here, gpu = (Training(TINY, RECIPE, c, c).run() for c in (corpus, there))
    for name, weight in here.state_dict().items():
        torch.testing.assert_close(gpu.state_dict()[name].cpu(), weight, rtol=1e-3, atol=1e-4)
