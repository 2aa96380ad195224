"""Compiled weights as models: the workbench's own runtime, and HookedTransformer configured as in section 4."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.rasp import forward
from engine.rasp.compiled import OURS, TRACR, Compiled, Construction, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Function
from engine.rasp.language import Aggregate, Comparison, Map, Select, SelectorWidth, SOp, indices, numerical, tokens
from engine.rasp.model import to_bytes, to_config, to_labels, to_transformer

ROWS = [(1, 2, 3, 4), (4, 1), (3, 2, 4), (2,)]


def sort() -> SOp:
    place = SelectorWidth(Select(tokens, tokens, Comparison.LT)).named("place")
    return Aggregate(Select(place, indices, Comparison.EQ), tokens).named("sort")


def fractions() -> SOp:
    marked = numerical(Map(Function.parse("lambda x: x == 2"), tokens))
    return numerical(Aggregate(Select(indices, indices, Comparison.LEQ), marked, 0))


@pytest.fixture(params=[False, True], ids=["both ways", "causal"])
def causal(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def compiled(program: SOp, causal: bool, construction: Construction = OURS) -> Compiled:
    return compile_program(program, Domain((1, 2, 3, 4), 4, causal), construction)


def hooked(c: Compiled) -> Any:
    lens = pytest.importorskip("transformer_lens")
    cfg = lens.HookedTransformerConfig(
        n_layers=c.n_layers,
        d_model=c.d_model,
        n_ctx=c.domain.max_len + 1,
        n_heads=c.n_heads,
        d_head=c.d_head,
        d_mlp=c.d_mlp,
        d_vocab=len(c.tokens),
        d_vocab_out=1 if c.outputs is None else len(c.outputs),
        act_fn="relu",
        normalization_type=None,
        positional_embedding_type="standard",
        attention_dir="causal" if c.domain.causal else "bidirectional",
        attn_scale=c.attn_scale,
        device="cpu",
    )
    model = lens.HookedTransformer(cfg)
    zeros = {name: torch.zeros_like(t) for name, t in model.state_dict().items() if ".b_" in name}
    buffers = {name: t for name, t in model.state_dict().items() if name.endswith(("mask", "IGNORE"))}
    model.load_state_dict(zeros | buffers | {name: torch.from_numpy(w) for name, w in c.state.items()}, strict=True)
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("construction", [OURS, TRACR], ids=["repaired", "original"])
@pytest.mark.parametrize("program", [sort(), fractions()], ids=["sort", "fractions"])
def test_hooked_transformer_computes_the_same(program: SOp, causal: bool, construction: Construction) -> None:
    c = compiled(program, causal, construction)
    model = hooked(c)
    for row in ROWS:
        ids = forward.encode(c, [row])
        ours = forward.run(c, ids)
        with torch.no_grad():
            logits, cache = model.run_with_cache(torch.from_numpy(ids))
        np.testing.assert_allclose(logits, ours.logits, atol=1e-5)
        for layer in range(c.n_layers):
            b = f"blocks.{layer}."
            for name, wanted in (
                ("hook_resid_pre", ours.resid[2 * layer]),
                ("hook_resid_mid", ours.resid[2 * layer + 1]),
                ("hook_resid_post", ours.resid[2 * layer + 2]),
                ("attn.hook_pattern", ours.patterns[layer]),
            ):
                np.testing.assert_allclose(cache[b + name], wanted, atol=1e-5)


@pytest.mark.parametrize("program", [sort(), fractions()], ids=["sort", "fractions"])
def test_the_workbench_computes_the_same(program: SOp, causal: bool) -> None:
    """Padded rows beside full ones: the weights keep padding out."""
    c = compiled(program, causal)
    model = to_transformer(c)
    ids = forward.encode(c, ROWS)
    ours = forward.run(c, ids)
    found = model.forward(torch.from_numpy(ids), pattern=True)
    np.testing.assert_allclose(found.resid_pre, ours.resid[::2], atol=1e-5)
    assert found.pattern is not None
    np.testing.assert_allclose(found.pattern, ours.patterns, atol=1e-5)
    np.testing.assert_allclose(model.unembed(found.resid_pre[-1]), ours.logits, atol=1e-5)
    assert model.labels == to_labels(c)


def test_labels_and_configuration() -> None:
    c = compiled(sort(), causal=False)
    labels, config = to_labels(c), to_config(c)
    assert labels.tokens == (1, 2, 3, 4, "compiler_bos", "compiler_pad")
    assert (labels.bos, labels.pad, labels.outputs, labels.max_len) == (4, 5, (1, 2, 3, 4), 4)
    assert labels.residual == c.residual
    assert "sort" in labels.program
    assert (config.d_vocab, config.d_vocab_out, config.n_ctx, config.attn_scale) == (6, 4, 5, 1.0)
    assert to_config(compiled(fractions(), causal=True)).d_vocab_out == 1
    assert to_config(compiled(sort(), False, TRACR)).attn_scale == pytest.approx(c.d_head**0.5, rel=0.2)


def test_the_same_program_gives_the_same_bytes() -> None:
    assert to_bytes(compiled(sort(), causal=False)) == to_bytes(compiled(sort(), causal=False))


def test_a_python_function_has_no_text() -> None:
    program = Map(lambda x: x + 1, tokens)
    assert to_labels(compiled(program, causal=False)).program == ""
