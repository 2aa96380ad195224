"""The script of the bundled networks: plans, drawings, polishing, and what it writes down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.rnn import RnnConfig, unroll
from engine.synthesis.tasks.benchmark import TASKS, task
from engine.synthesis.training import zoo
from engine.synthesis.training.batched import initial
from engine.synthesis.training.draws import borders, ties
from engine.synthesis.training.judging import judge
from engine.synthesis.training.plans import PLANS, Plan
from engine.synthesis.training.polishing import polish
from engine.synthesis.training.zoo import ZOO, alone, attempt, batch_of, make
from tests.engine.synthesis.conftest import bundled

BUNDLED = sorted(path.stem for path in ZOO.glob("*.safetensors"))


def test_plans_are_of_tasks_and_can_be_drawn() -> None:
    assert set(PLANS) <= {known.name for known in TASKS}
    for name in ("Sum_Last2", "Add_Mod_6", "Majority_0_2", "Div_5"):
        x, wanted = batch_of(task(name), PLANS[name])(torch.Generator().manual_seed(0))
        assert len(x) == len(wanted) == (1024 if PLANS[name].draw == "whole" else PLANS[name].batch)
        assert (wanted.numpy() == task(name).target(x.numpy().astype(np.int64))).all()


def test_the_symbols_that_are_behind_catch_up() -> None:
    """The most frequent one changes more often than among uniform sequences, and every symbol is drawn."""
    chosen = task("Majority_0_2")
    rng = np.random.default_rng(0)
    drawn, uniform = ties(chosen, 4_000, 10, rng), chosen.sequences(2_000, 1)
    changes = [(np.diff(chosen.target(x)[:, :, 0], axis=1) != 0).sum(axis=1).mean() for x in (drawn[:2_000], uniform)]
    assert changes[0] > 1.3 * changes[1]
    assert set(np.unique(drawn)) == {0, 1, 2}


def test_sums_at_the_border_of_a_multiple_are_frequent() -> None:
    """Half of the elements of half of the sequences lead there; among uniform ones it is 2 in 15."""
    chosen = task("Dithering")
    drawn = borders(chosen, 4_000, 10, np.random.default_rng(0))
    assert (drawn.min(), drawn.max()) == (0, 15)
    at = np.isin(np.cumsum(drawn, axis=1) % 15, (0, 14)).mean(axis=(1, 2))
    assert at[2_000:].mean() == pytest.approx(2 / 15, abs=0.02)
    assert at[:2_000].mean() > 0.5


def test_refining_trains_on_from_the_best_network() -> None:
    """With a learning rate of next to nothing (1e-5 in the end) it is the network that came out before."""
    plan = Plan(1, (6,), seeds=4, steps=500, batch=64)
    before = zoo.try_plan(task("Parity_All"), plan)
    after = zoo.try_plan(task("Parity_All"), plan._replace(refine=(250, 1e-9, "task")))
    assert after.steps == before.steps + 250
    for name, weights in after.weights.items():
        torch.testing.assert_close(weights, before.weights[name], atol=5e-3, rtol=0)


def test_polishing_finds_the_affine_network_that_there_is() -> None:
    """Running sum by h + x with a readout that is off: it becomes exact far below what float32 training leaves."""
    config = RnnConfig(hidden=1, inputs=1)
    weights = {
        "f.0.weight": torch.tensor([[0.98, 1.03]]), "f.0.bias": torch.tensor([0.1]),
        "g.0.weight": torch.tensor([[0.97]]), "g.0.bias": torch.tensor([-0.2]),
    }  # fmt: skip
    assert weights.keys() == config.shapes().keys()
    x = torch.randint(0, 100, (64, 10, 1), generator=torch.Generator().manual_seed(0)).float()
    found = polish(weights, x, x.cumsum(dim=1), 60)
    assert float((unroll(found, x)[1] - x.cumsum(dim=1)).abs().max()) < 1e-2
    assert float(found["f.0.weight"][0, 0]) == pytest.approx(1, abs=1e-5)
    assert float(found["f.0.weight"][0, 1] * found["g.0.weight"][0, 0]) == pytest.approx(1, abs=1e-5)


def test_polishing_never_makes_it_worse() -> None:
    config = RnnConfig(hidden=2, inputs=1, f=(4,))
    weights = {name: w[0] for name, w in initial(config, 1, torch.Generator().manual_seed(3)).items()}
    x = torch.randn((32, 5, 1), generator=torch.Generator().manual_seed(1))
    wanted = x.abs()
    errors = [float(((unroll(w, x)[1] - wanted) ** 2).mean()) for w in (weights, polish(weights, x, wanted, 3))]
    assert errors[1] <= errors[0]


def test_an_attempt_is_written_down_and_only_an_exact_network_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "RECORD", tmp_path / "record.jsonl")
    monkeypatch.setattr(zoo, "FRESH", 20_000)
    assert not attempt("Current_Number", Plan(1, seeds=2, steps=5), tmp_path)
    assert not (tmp_path / "Current_Number.safetensors").exists()
    assert attempt("Current_Number", Plan(1, seeds=4, steps=1_000, lr=1e-2, enough=0.3, polish=100), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [line["exact"] for line in lines] == [False, True]
    assert lines[1]["plan"]["polish"] == 100
    assert lines[1]["tested"] > 20_000
    assert json.loads((tmp_path / "Current_Number.json").read_text())["high"] == 99


def test_make_gives_no_weights_unless_they_are_exact() -> None:
    config, weights = make(task("Parity_All"), Plan(1, (6,), seeds=2, steps=3))
    assert config.f == (6,)
    assert weights == {}


def test_a_task_is_trained_by_one_process_at_a_time() -> None:
    with alone("a-task-of-the-test") as first, alone("a-task-of-the-test") as second:
        assert first
        assert not second
    with alone("a-task-of-the-test") as again:
        assert again


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if k % 3 else []) for k, name in enumerate(BUNDLED)]
)
def test_bundled_networks_say_on_which_inputs_they_were_trained_and_are_exact(name: str) -> None:
    written, chosen = json.loads((ZOO / f"{name}.json").read_text()), task(name)
    assert [written[key] for key in ("task", "inputs", "outputs", "low", "high", "length")] == [
        name, chosen.inputs, chosen.outputs, chosen.low, chosen.high, chosen.length
    ]  # fmt: skip
    judged = judge(bundled(name).weights, chosen, seed=77, fresh=20_000)
    assert judged.exact, str(judged)
