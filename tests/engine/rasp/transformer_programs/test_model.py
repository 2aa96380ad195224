"""The hard network against a slow one, position by position, written from the paper's words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.rasp.transformer_programs.gates import gumbel, hard, soft, temperature
from engine.rasp.transformer_programs.model import Shape, Weights, forward, initial
from engine.rasp.transformer_programs.tasks import encode, sample_payloads
from tests.engine.rasp.transformer_programs.networks import random_network


def slow(shape: Shape, weights: Weights, ids: list[int]) -> tuple[list[list[int]], list[list[int]], np.ndarray]:
    """Variables as plain lists (without the padding), and the logits."""
    w = {name: weight.double().numpy() for name, weight in weights.items()}
    ids = [k for k in ids if k != shape.tokens - 1]
    positions = range(len(ids))
    cat, num = [ids, list(positions)], [[1 for _ in positions]]
    for layer in range(shape.layers):
        at, new, sums = f"layers.{layer}", [], []
        for h in range(shape.categorical_heads + shape.numerical_heads):
            query, key = cat[w[f"{at}.query"][h].argmax()], cat[w[f"{at}.key"][h].argmax()]
            wanted = w[f"{at}.predicate"][h].argmax(-1)
            seen = [[j for j in positions if j <= i or not shape.causal] for i in positions]
            matches = [[j for j in seen[i] if key[j] == wanted[query[i]]] for i in positions]
            if h < shape.categorical_heads:
                value = cat[w[f"{at}.value"][h].argmax()]
                best = [min(m, key=lambda j: (j == i, abs(j - i), j)) if m else 0 for i, m in enumerate(matches)]
                new.append([value[j] for j in best])
            else:
                number = num[w[f"{at}.number"][h - shape.categorical_heads].argmax()]
                sums.append([sum(number[j] for j in m) for m in matches])
        cat, num, made = cat + new, num + sums, []
        for kind, stream, count in (
            ("categorical_mlp", cat, shape.categorical_mlps),
            ("numerical_mlp", num, shape.numerical_mlps),
        ):
            for m in range(count):
                a, b = (stream[k] for k in w[f"{at}.{kind}.read"][m].argmax(-1))
                rows = []
                for i in positions:
                    one = np.eye(shape.width)
                    x = np.concatenate([one[a[i]], one[b[i]]]) if kind == "categorical_mlp" else np.array([a[i], b[i]])
                    hidden = np.maximum(x @ w[f"{at}.{kind}.in"][m] + w[f"{at}.{kind}.in_bias"][m, 0], 0)
                    rows.append(int((hidden @ w[f"{at}.{kind}.out"][m] + w[f"{at}.{kind}.out_bias"][m, 0]).argmax()))
                made.append(rows)
        cat = cat + made
    logits = [
        sum(w["classifier.categorical"][v][cat[v][i]] for v in range(len(cat)))
        + sum(w["classifier.numerical"][v] * num[v][i] for v in range(len(num)))
        for i in positions
    ]
    return cat, num, np.array(logits)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["hist", "sort", "dyck2"])
def test_hard_choices_do_what_the_paper_says(name: str, seed: int) -> None:
    task, shape, weights = random_network(name, seed, length=6)
    for payloads in sample_payloads(task, 40, np.random.default_rng(seed)):
        ids = encode(task, payloads).ids
        stream = forward(shape, weights, torch.from_numpy(ids), hard)
        for k, row in enumerate(ids.tolist()):
            cat, num, logits = slow(shape, weights, row)
            n = len(cat[0])
            assert stream.categorical[:, k, :n].argmax(-1).tolist() == cat
            assert stream.numerical[:, k, :n].tolist() == num
            np.testing.assert_allclose(stream.logits[k, :n].numpy(), logits, atol=1e-4)


def test_choices_are_distributions_and_harden_as_it_cools() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    for choose in (gumbel(1.0, torch.Generator().manual_seed(1)), soft(3.0), hard):
        assert torch.allclose(choose(logits).sum(-1), torch.ones(5))
    assert torch.allclose(soft(1e-4)(logits), hard(logits))
    drawn = gumbel(0.01, torch.Generator().manual_seed(2))(logits.repeat(4000, 1, 1)).mean(0)
    # The share of samples at each option is the softmax: what the Gumbel noise is for.
    assert (drawn - logits.softmax(-1)).abs().max() < 0.03
    assert [round(temperature(s), 3) for s in (0.0, 0.5, 1.0)] == [3.0, 0.173, 0.01]


def test_the_soft_network_becomes_the_hard_one_as_it_cools() -> None:
    task, shape, weights = random_network("sort", 1, length=6)
    ids = torch.from_numpy(encode(task, sample_payloads(task, 30, np.random.default_rng(0))[-1]).ids)
    cold, certain = forward(shape, weights, ids, soft(1e-5)).logits, forward(shape, weights, ids, hard).logits
    seen = ids[0] != shape.tokens - 1
    assert torch.allclose(cold[:, seen], certain[:, seen], atol=1e-2)


def test_a_network_without_heads_or_mlps_of_a_kind() -> None:
    for kinds in ((2, 0, 1, 0), (0, 2, 0, 1), (1, 1, 0, 0)):
        shape = Shape(
            tokens=5,
            context=4,
            classes=3,
            layers=2,
            **dict(zip(("categorical_heads", "numerical_heads", "categorical_mlps", "numerical_mlps"), kinds)),
        )
        weights = initial(shape, torch.Generator().manual_seed(0))
        assert forward(shape, weights, torch.tensor([[3, 0, 1, 4]]), hard).logits.shape == (1, 4, 3)
