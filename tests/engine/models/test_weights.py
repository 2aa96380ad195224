"""State dicts against configurations: what fits, and how a misfit is told."""

from __future__ import annotations

import msgspec
import pytest
import torch

from engine.models.weights import arrange, check_names_and_shapes, random_state, state_dict
from sessions.errors import CallError
from tests.engine.models.conftest import small_config


def shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_every_misfit_is_named_in_one_sentence() -> None:
    config = small_config()
    found = shapes(random_state(config, 0))
    del found["blocks.2.attn.W_Q"]
    found["embed.W_E"] = (50257, 16)
    found["blocks.3.attn.W_Q"] = (4, 16, 6)
    with pytest.raises(CallError) as caught:
        check_names_and_shapes(config, found, "mine.safetensors")
    told = str(caught.value)
    assert told.startswith("mine.safetensors: the weights do not fit the configuration")
    assert "missing: blocks.2.attn.W_Q" in told
    assert "unexpected: blocks.3.attn.W_Q" in told
    assert "embed.W_E is [50257 16], expected [11 16]" in told
    assert "\n" not in told


def test_many_misfits_are_counted_rather_than_listed() -> None:
    config = small_config()
    with pytest.raises(CallError, match=r"blocks\.0\.attn\.W_Q.* and \d+ more"):
        check_names_and_shapes(config, {})


def test_a_bias_missing_in_one_layer_only_is_a_misfit() -> None:
    config = small_config()
    found = shapes(random_state(config, 0))
    del found["blocks.1.mlp.b_in"]
    with pytest.raises(CallError, match=r"missing: blocks\.1\.mlp\.b_in"):
        check_names_and_shapes(config, found)


def test_folded_norms_are_missing_as_a_whole() -> None:
    config = small_config()
    folded = {name: t for name, t in random_state(config, 0).items() if ".ln" not in name and "ln_final" not in name}
    weights = arrange(config, folded)
    assert weights.blocks[0].ln1.w is None
    assert weights.ln_final.b is None
    folded["ln_final.w"] = torch.ones(16)
    with pytest.raises(CallError, match=r"missing: blocks\.0\.ln1\.w"):
        arrange(config, folded)


def test_buffers_and_the_underscored_names_of_grouped_attention_are_understood() -> None:
    config = small_config(n_kv_heads=2)
    state = random_state(config, 0)
    plain = arrange(config, state)
    theirs = {name.replace("attn.W_K", "attn._W_K").replace("attn.b_V", "attn._b_V"): t for name, t in state.items()}
    theirs["blocks.0.attn.mask"] = torch.ones(12, 12)
    theirs["blocks.0.attn.IGNORE"] = torch.tensor(-torch.inf)
    assert torch.equal(arrange(config, theirs).blocks[1].w_qkv, plain.blocks[1].w_qkv)


def test_arranged_weights_share_no_memory_with_the_state_dict() -> None:
    config = small_config()
    state = random_state(config, 0)
    weights = arrange(config, state)
    before = weights.embed.clone(), weights.blocks[0].w_qkv.clone(), weights.ln_final.w.clone()
    for tensor in state.values():
        tensor.zero_()
    assert torch.equal(weights.embed, before[0])
    assert torch.equal(weights.blocks[0].w_qkv, before[1])
    assert torch.equal(weights.ln_final.w, before[2])


def test_random_states_repeat_with_their_seed() -> None:
    config = small_config()
    first, again, other = random_state(config, 1), random_state(config, 1), random_state(config, 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embed.W_E"], other["embed.W_E"])


@pytest.mark.parametrize(
    "change", [{}, {"n_kv_heads": 2}, {"gated_mlp": True, "normalization": "RMS"}, {"d_mlp": 0}], ids=str
)
def test_arranged_weights_go_back_under_their_names(change: dict[str, object]) -> None:
    config = msgspec.structs.replace(small_config(), **change)
    state = random_state(config, 3)
    again = state_dict(config, arrange(config, state))
    assert again.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)
