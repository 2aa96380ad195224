"""The runtime against a transformer written from its definition, and passes from the middle against whole ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.models.protocols import TransformerConfig
from engine.models.weights import random_state
from sessions.errors import CallError
from tests.engine.models import reference
from tests.engine.models.conftest import make, small_config, without_biases

TOKENS = torch.tensor([[1, 5, 3, 3, 9, 0, 2], [4, 4, 10, 7, 1, 8, 6]])
# float64 throughout: what remains is rounding of a few hundred operations at 1e-16.
EXACT = {"rtol": 0.0, "atol": 1e-11}

SHAPES: dict[str, TransformerConfig] = {
    "gpt2": small_config(),
    "attention only": small_config(d_mlp=0),
    "no norm, relu": small_config(normalization="none", act_fn="relu"),
    "llama, grouped": small_config(
        normalization="RMS", positions="rotary", rotary_dim=6, gated_mlp=True, act_fn="silu", n_kv_heads=2, eps=1e-6
    ),
    "neox": small_config(positions="rotary", rotary_dim=2, parallel_attn_mlp=True, act_fn="gelu"),
    "gpt-j": small_config(positions="rotary", rotary_dim=4, rotary_adjacent_pairs=True, parallel_attn_mlp=True),
    "no positions, own scale": small_config(positions="none", attn_scale=1.7),
    "bidirectional": small_config(attention="bidirectional", n_kv_heads=2),
    "bidirectional, parallel, rotary": small_config(
        attention="bidirectional", positions="rotary", rotary_dim=2, parallel_attn_mlp=True, act_fn="gelu"
    ),
    "as compiled": small_config(
        attention="bidirectional", normalization="none", act_fn="relu", attn_scale=9.0, d_mlp=4, d_vocab_out=5
    ),
    "rotary base": small_config(positions="rotary", rotary_dim=6, rotary_base=100.0, n_kv_heads=1),
}


@pytest.fixture(params=SHAPES, ids=list(SHAPES))
def config(request: pytest.FixtureRequest) -> TransformerConfig:
    return SHAPES[request.param]


def test_logits_are_those_of_the_definition(config: TransformerConfig) -> None:
    state = random_state(config, 1, scale=0.4)
    model = make(config, state)
    found = model.unembed(model.forward(TOKENS).resid_pre[-1])
    for row, prompt in enumerate(TOKENS.tolist()):
        torch.testing.assert_close(found[row], reference.logits(config, state, prompt), **EXACT)


def test_biases_may_be_missing(config: TransformerConfig) -> None:
    state = without_biases(random_state(config, 2, scale=0.4))
    model = make(config, state)
    found = model.unembed(model.forward(TOKENS[:1]).resid_pre[-1])
    torch.testing.assert_close(found[0], reference.logits(config, state, TOKENS[0].tolist()), **EXACT)


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_a_pass_from_the_middle_ends_where_the_whole_one_does(config: TransformerConfig, layer: int) -> None:
    model = make(config, random_state(config, 3, scale=0.4))
    cache = model.forward(TOKENS)
    torch.testing.assert_close(model.run_from(layer, cache.resid_pre[layer]), cache.resid_pre[-1], **EXACT)
    at = torch.tensor([[6, 0], [2, 5]])
    expected = cache.resid_pre[-1].gather(1, at[:, :, None].expand(-1, -1, config.d_model))
    torch.testing.assert_close(model.run_from(layer, cache.resid_pre[layer], at=at), expected, **EXACT)


def test_a_pass_may_start_between_attention_and_mlp(config: TransformerConfig) -> None:
    model = make(config, random_state(config, 4, scale=0.4))
    cache = model.forward(TOKENS)
    at = torch.tensor([[6], [3]])
    for layer in range(config.n_layers):
        mid = cache.resid_pre[layer] + model.attention_output(layer, cache.z[layer])
        if config.parallel_attn_mlp:
            with pytest.raises(ValueError, match="parallel"):
                model.run_from(layer, mid, start="mlp")
            continue
        torch.testing.assert_close(model.run_from(layer, mid, start="mlp"), cache.resid_pre[-1], **EXACT)
        expected = cache.resid_pre[-1].gather(1, at[:, :, None].expand(-1, -1, config.d_model))
        torch.testing.assert_close(model.run_from(layer, mid, start="mlp", at=at), expected, **EXACT)


def test_the_kept_pass_adds_up(config: TransformerConfig) -> None:
    model = make(config, random_state(config, 5, scale=0.4))
    cache = model.forward(TOKENS, pattern=True)
    assert cache.pattern is not None
    assert cache.pattern.shape == (config.n_layers, 2, config.n_heads, 7, 7)
    torch.testing.assert_close(
        cache.pattern.sum(-1), torch.ones(config.n_layers, 2, config.n_heads, 7).double(), **EXACT
    )
    assert (float(cache.pattern.triu(1).abs().max()) == 0.0) == (config.attention == "causal")
    for layer in range(config.n_layers):
        step = model.attention_output(layer, cache.z[layer]) + cache.mlp_out[layer]
        torch.testing.assert_close(cache.resid_pre[layer] + step, cache.resid_pre[layer + 1], **EXACT)
    torch.testing.assert_close(model.forward(TOKENS).z, cache.z, **EXACT)  # asking for patterns changes nothing


def test_heads_add_up_to_the_attention_output(config: TransformerConfig) -> None:
    state = random_state(config, 6)
    model = make(config, state)
    z = model.forward(TOKENS).z[1]
    parts = sum(model.head_output(1, head, z[:, :, head]) for head in range(config.n_heads))
    torch.testing.assert_close(parts + state["blocks.1.attn.b_O"].double(), model.attention_output(1, z), **EXACT)


class Killed:
    """Zeroes heads, and doubles one layer's MLP."""

    def __init__(self, heads: set[tuple[int, int]], doubled: int | None = None) -> None:
        self.heads, self.doubled = heads, doubled
        self.layers = frozenset({layer for layer, _ in heads} | ({doubled} if doubled is not None else set()))

    def z(self, layer: int, z: Tensor) -> Tensor:
        for there, head in self.heads:
            if there == layer:
                z[:, :, head] = 0
        return z

    def mlp_out(self, layer: int, out: Tensor) -> Tensor:
        return out * 2 if layer == self.doubled else out


def test_an_edit_kills_heads_as_the_definition_does(config: TransformerConfig) -> None:
    state = random_state(config, 7, scale=0.4)
    model = make(config, state)
    heads = {(0, 1), (1, 3), (2, 0), (2, 2)}
    embedded = model.forward(TOKENS, upto=0).resid_pre[0]
    final = model.run_from(0, embedded, edit=Killed(heads))
    expected = reference.logits(config, state, TOKENS[1].tolist(), frozenset(heads))
    torch.testing.assert_close(model.unembed(final)[1], expected, **EXACT)


@pytest.mark.parametrize("heads", [{(1, 1)}, {(2, 1)}, {(0, 0), (2, 3)}])
def test_an_edit_gives_the_same_when_only_some_positions_are_asked_for(
    config: TransformerConfig, heads: set[tuple[int, int]]
) -> None:
    model = make(config, random_state(config, 8, scale=0.4))
    start = model.forward(TOKENS).resid_pre[0]
    edit = Killed(heads, doubled=2)
    at = torch.tensor([[6, 1], [0, 4]])
    whole = model.run_from(0, start, edit=edit).gather(1, at[:, :, None].expand(-1, -1, config.d_model))
    torch.testing.assert_close(model.run_from(0, start, edit=edit, at=at), whole, **EXACT)


def test_many_edits_run_side_by_side_as_they_do_alone(config: TransformerConfig) -> None:
    model = make(config, random_state(config, 9, scale=0.4))
    start = model.forward(TOKENS).resid_pre[1]

    class PerVariant:
        layers = frozenset({1})

        def z(self, layer: int, z: Tensor) -> Tensor:
            by_variant = z.unflatten(0, (config.n_heads, 2))
            for head in range(config.n_heads):
                by_variant[head, :, :, head] = 0
            return z

        def mlp_out(self, layer: int, out: Tensor) -> Tensor:
            return out

    together = model.run_from(1, start.repeat(config.n_heads, 1, 1), edit=PerVariant())
    alone = torch.cat([model.run_from(1, start, edit=Killed({(1, head)})) for head in range(config.n_heads)])
    torch.testing.assert_close(together, alone, **EXACT)


def test_stopping_early_keeps_the_layers_before() -> None:
    model = make(small_config(), random_state(small_config(), 10))
    whole, cut = model.forward(TOKENS), model.forward(TOKENS, upto=2, pattern=True)
    assert len(cut.resid_pre) == 3
    assert cut.pattern is not None
    assert len(cut.z) == len(cut.mlp_out) == len(cut.pattern) == 2
    torch.testing.assert_close(cut.resid_pre, whole.resid_pre[:3], **EXACT)
    assert model.forward(TOKENS, upto=0, pattern=True).z.shape == (0, 2, 7, 4, 6)


def test_what_follows_a_prompt_does_not_change_it(config: TransformerConfig) -> None:
    model = make(config, random_state(config, 11, scale=0.4))
    padded = torch.cat([TOKENS, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    if config.attention == "bidirectional":
        assert not torch.allclose(model.forward(padded).resid_pre[-1, :, :7], model.forward(TOKENS).resid_pre[-1])
        return
    torch.testing.assert_close(model.forward(padded).resid_pre[:, :, :7], model.forward(TOKENS).resid_pre, **EXACT)


def test_chosen_columns_are_those_logits() -> None:
    model = make(small_config(), random_state(small_config(), 12))
    final = model.forward(TOKENS).resid_pre[-1]
    columns = torch.tensor([9, 0, 9])
    torch.testing.assert_close(model.unembed(final, columns), model.unembed(final)[..., columns], **EXACT)


def test_the_inner_functions_carry_gradients_and_the_public_ones_none() -> None:
    config = small_config()
    model = make(config, random_state(config, 13, scale=0.4))
    start = model.forward(TOKENS).resid_pre[1].requires_grad_()
    at = torch.full((2, 1), 6)
    assert not model.run_from(1, start, at=at).requires_grad

    def logit(x: Tensor) -> Tensor:
        return model.unembed(model.continue_from(1, x, at=at), torch.tensor([3])).sum()

    (slope,) = torch.autograd.grad(logit(start), start)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 1e-5
    with torch.no_grad():
        difference = (logit(start + step * direction) - logit(start - step * direction)) / (2 * step)
    # Central differences err by step^2 times a third derivative of order one.
    assert float((slope * direction).sum()) == pytest.approx(float(difference), rel=1e-6)


def test_float32_stays_within_rounding_of_float64() -> None:
    config = SHAPES["llama, grouped"]
    state = random_state(config, 14, scale=0.4)
    exact, single = make(config, state), make(config, state, torch.float32)
    expected = exact.unembed(exact.forward(TOKENS).resid_pre[-1])
    found = single.unembed(single.forward(TOKENS).resid_pre[-1])
    # Three layers of sums of at most twenty products at 6e-8 relative.
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    model = make(small_config(n_ctx=6), random_state(small_config(n_ctx=6), 15))
    with pytest.raises(CallError, match="7 tokens, and the context holds 6"):
        model.forward(TOKENS)


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    config = small_config(act_fn="gelu_nwe")
    with pytest.raises(CallError, match="did you mean 'gelu_new'"):
        make(config, random_state(config, 16))
