"""Interventions on a model made by hand, of which it is known what every head does: padded, bidirectional, and with
logits that are no tokens.

Layer 0's head 0 attends to all tokens alike and so counts them; the MLP after it says which token is wanted; layer 1's
head 0 fetches it and writes the answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.circuits.interventions.activation_operations import ActivationPatching, activation_patching
from engine.circuits.interventions.attention_ablation_operations import AttentionAblation, attention_ablation
from engine.circuits.interventions.path_operations import PathPatching, path_patching
from sessions.artifacts import Prompts
from tests.engine.circuits.conftest import Desk
from tests.engine.circuits.test_compiled_models import TEXTS, reversing, rows


@pytest.fixture
def bench() -> Desk:
    return Desk(**{"@1": reversing(), "@2": Prompts(title="reverse", task="rasp", rows=rows(*TEXTS))})


def share(site: Any, direction: Any, bench: Desk) -> Any:
    params = ActivationPatching(model="@1", prompts="@2", site=site, direction=direction, positions="all")
    return activation_patching(params, Desk(**bench.inputs))[0].values


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_the_answer_passes_through_one_heads_values(bench: Desk, direction: Any) -> None:
    for site in ("z", "v"):
        # logits of order 10, in single precision
        assert share(site, direction, bench) == pytest.approx(np.array([[0, 0], [1, 0]]), abs=1e-4)
    for site in ("q", "k", "pattern"):  # where to look depends on the length alone, which the pair shares
        assert share(site, direction, bench) == pytest.approx(np.zeros((2, 2)), abs=1e-4)
    assert share("mlp_out", direction, bench) == pytest.approx(np.zeros((2, 1)), abs=1e-4)


def test_the_path_from_the_embeddings_to_the_answer(bench: Desk) -> None:
    params = PathPatching(model="@1", prompts="@2", receivers="L1H0.v", senders="all", report="difference")
    *_, table = path_patching(params, bench)
    effects = {row[0]: row[1] for row in table.rows}
    assert effects["embed"] == pytest.approx(table.facts["m_corrupt"] - table.facts["m_clean"], abs=1e-3)
    assert all(effect == pytest.approx(0, abs=1e-3) for sender, effect in effects.items() if sender != "embed")
    elsewhere = PathPatching(model="@1", prompts="@2", receivers="L1H0.q,L1H0.k", senders="embed", report="difference")
    assert path_patching(elsewhere, Desk(**bench.inputs))[0].rows[0][1] == pytest.approx(0, abs=1e-3)


def test_a_head_that_attends_to_all_alike_does_not_miss_its_scores(bench: Desk) -> None:
    """In prompts of other lengths beside, too: padding is not attended to. Its pattern it does miss."""
    found = {
        what: attention_ablation(
            AttentionAblation(model="@1", prompts="@2", metric="accuracy", what=what), Desk(**bench.inputs)
        )[0].values
        for what in ("scores", "pattern")
    }
    assert found["scores"][0, 0] == 0
    assert found["scores"][1, 0] < -0.3
    assert found["pattern"][0, 0] < -0.3
    assert found["pattern"][:, 1].tolist() == [0, 0]
