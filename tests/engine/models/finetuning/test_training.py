"""Training against transformers' own, and going on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, get_scheduler

from engine.models.finetuning import training
from engine.models.finetuning.examples import UNSCORED, Example, collate, make_examples
from engine.models.finetuning.training import Plan, Trainer, private_copy, rate
from engine.models.protocols import TransformerConfig
from engine.models.tokenizers import WordTokenizer
from engine.models.transformer import Transformer
from engine.models.weights import random_state, state_dict
from sessions.artifacts import Model, PromptRow
from sessions.errors import CallError, CancelledError
from tests.engine.models.conftest import WORDS, small_config

torch.set_num_threads(1)
VOCAB, END = 40, 39


def gpt2() -> GPT2LMHeadModel:
    """A random GPT-2 without dropout and with biases, whose embedding is its unembedding."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCAB, n_positions=12, n_embd=24, n_layer=2, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=END,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model


def translated(theirs: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """Their weights under our names, written out from the two definitions (Conv1D is x W + b)."""
    state = {"embed.W_E": theirs.transformer.wte.weight, "pos_embed.W_pos": theirs.transformer.wpe.weight}
    for layer, block in enumerate(theirs.transformer.h):
        at = f"blocks.{layer}"
        for name, weight, bias in zip(
            "QKV", block.attn.c_attn.weight.split(24, dim=1), block.attn.c_attn.bias.split(24)
        ):
            state[f"{at}.attn.W_{name}"] = weight.reshape(24, 4, 6).transpose(0, 1)
            state[f"{at}.attn.b_{name}"] = bias.reshape(4, 6)
        state[f"{at}.attn.W_O"] = block.attn.c_proj.weight.reshape(4, 6, 24)
        state[f"{at}.attn.b_O"] = block.attn.c_proj.bias
        state |= {f"{at}.mlp.W_in": block.mlp.c_fc.weight, f"{at}.mlp.b_in": block.mlp.c_fc.bias}
        state |= {f"{at}.mlp.W_out": block.mlp.c_proj.weight, f"{at}.mlp.b_out": block.mlp.c_proj.bias}
        state |= {f"{at}.ln1.w": block.ln_1.weight, f"{at}.ln1.b": block.ln_1.bias}
        state |= {f"{at}.ln2.w": block.ln_2.weight, f"{at}.ln2.b": block.ln_2.bias}
    final = theirs.transformer.ln_f
    state |= {"ln_final.w": final.weight, "ln_final.b": final.bias, "unembed.W_U": theirs.lm_head.weight.T}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def ours(theirs: GPT2LMHeadModel) -> Transformer:
    config = TransformerConfig(
        architecture="gpt2", n_layers=2, n_heads=4, d_model=24, d_head=6, d_mlp=96, d_vocab=VOCAB, n_ctx=12
    )
    handle = Model(title="g", source="g", family="transformer", architecture="gpt2")
    return Transformer(config, translated(theirs), WordTokenizer([f"w{i}" for i in range(VOCAB)]), handle)


def drawn(n: int, *, answers: int = 1, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Prompts of several lengths, each with an answer."""
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(0, END, rng.integers(4, 9)).tolist(), rng.integers(0, END, rng.integers(1, answers + 1)).tolist())
        for _ in range(n)
    ]


def as_seed_does(pairs: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs: the prompt, then end-of-text. Labels: -100, but the answer where it stands after the prompt."""
    inputs = torch.full((len(pairs), 12), END)
    labels = torch.full((len(pairs), 12), -100)
    for i, (prompt, answer) in enumerate(pairs):
        inputs[i, : len(prompt)] = torch.tensor(prompt)
        labels[i, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return inputs, labels


def as_examples(pairs: list[tuple[list[int], list[int]]]) -> list[Example]:
    return [
        Example((*p, *[END] * (len(a) - 1)), tuple(range(len(p) - 1, len(p) + len(a) - 1)), tuple(a)) for p, a in pairs
    ]


@pytest.mark.parametrize(("steps", "answers", "clip"), [(1, 1, 0.0), (1, 3, 1.0), (6, 2, 1.0)])
def test_steps_are_those_of_transformers(steps: int, answers: int, clip: float) -> None:
    theirs = gpt2()
    pairs = drawn(16, answers=answers)
    plan = Plan(epochs=steps / 2, batch=8, lr=1e-3, schedule="cosine", warmup=0.3, weight_decay=0.1, clip=clip, seed=5)
    trainer = Trainer(ours(theirs), as_examples(pairs), plan)
    assert trainer.tied
    assert trainer.steps == steps
    decayed = [p for p in theirs.parameters() if p.dim() > 1]
    rest = [p for p in theirs.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3)
    scheduler = get_scheduler("cosine", optimiser, num_warmup_steps=int(np.ceil(0.3 * steps)), num_training_steps=steps)
    for step in range(steps):
        epoch, within = divmod(step, 2)
        chosen = np.random.default_rng([5, epoch]).permutation(16)[within * 8 : within * 8 + 8]
        inputs, labels = as_seed_does([pairs[i] for i in chosen])
        loss = theirs(input_ids=inputs, labels=labels).loss
        expected_loss = loss.item()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        optimiser.step()
        scheduler.step()
        optimiser.zero_grad()
        # The same sum in another order: some units in the last place of a loss near 4.
        assert trainer.step() == pytest.approx(expected_loss, abs=1e-5)
    found = state_dict(trainer.model.config, trainer.model.weights)
    for name, expected in translated(theirs).items():
        if name.endswith("b_K"):  # softmax does not see it: its gradient is rounding, which AdamW makes steps of
            continue
        # AdamW divides gradients by their size: where one is near zero its rounding counts for part of a step of 1e-3.
        apart = (found[name].detach() - expected).abs()
        assert float(apart.max()) < 1e-4, name
        assert float(apart.mean()) < 1e-6, name


def test_rates_are_those_of_transformers() -> None:
    for schedule in ("constant", "linear", "cosine"):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        name = "constant_with_warmup" if schedule == "constant" else schedule
        scheduler = get_scheduler(name, optimiser, num_warmup_steps=4, num_training_steps=20)
        for step in range(20):
            assert rate(schedule, step, 20, 0.2) == pytest.approx(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()


def numbers(trainer: Trainer) -> Any:
    return trainer.state().tobytes()


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rotary, grouped, gated, RMS": {
        "positions": "rotary", "rotary_dim": 6, "n_kv_heads": 2, "gated_mlp": True, "normalization": "RMS",
        "act_fn": "silu",
    },
    "parallel": {"parallel_attn_mlp": True, "positions": "rotary", "rotary_dim": 4},
    "attention only, no norm": {"d_mlp": 0, "normalization": "none"},
}  # fmt: skip


PLAN = Plan(epochs=4, batch=8, lr=1e-2, schedule="constant")


def random_trainer(plan: Plan = PLAN, **changes: Any) -> Trainer:
    config = small_config(d_vocab=END + 1, **changes)
    handle = Model(title="t", source="t", family="transformer", architecture="test")
    model = Transformer(config, random_state(config, 3), WordTokenizer([f"w{i}" for i in range(40)]), handle)
    return Trainer(model, as_examples(drawn(21, seed=2)), plan)


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_every_kind_learns_its_examples_with_all_its_weights(changes: dict[str, Any]) -> None:
    trainer = random_trainer(Plan(epochs=25, batch=8, lr=1e-2, schedule="constant"), **changes)
    before = [leaf.detach().clone() for leaf in trainer._leaves]
    start = trainer.measure(trainer.examples)
    while trainer.done < trainer.steps:
        trainer.step()
    assert trainer.measure(trainer.examples).loss < 0.5 * start.loss
    assert all(not torch.equal(old, new) for old, new in zip(before, trainer._leaves))


def test_the_base_model_stays_as_it_is() -> None:
    theirs = gpt2()
    model = ours(theirs)
    trainer = Trainer(model, as_examples(drawn(8)), Plan(epochs=1, lr=1e-2))
    trainer.step()
    for name, tensor in state_dict(model.config, model.weights).items():
        if name in (expected := translated(theirs)):
            assert torch.equal(tensor, expected[name])
    assert not model.weights.embed.requires_grad


@pytest.mark.parametrize("stop", [1, 4])
def test_going_on_is_bit_for_bit_as_undisturbed(stop: int) -> None:
    whole, first = random_trainer(), random_trainer()
    losses = [whole.step() for _ in range(9)]
    for _ in range(stop):
        first.step()
    saved = first.state().copy()
    first.step()  # what came after the saving is lost
    again = random_trainer()
    again.restore(saved, stop, whole.micro)
    assert [again.step() for _ in range(9 - stop)] == losses[stop:]
    assert numbers(again) == numbers(whole)


def test_giving_up_within_a_batch_leaves_the_last_whole_step() -> None:
    whole, given_up = random_trainer(), random_trainer()
    given_up.micro = 2
    calls: Iterator[int] = iter(range(100))

    def cancelled() -> None:
        if next(calls) == 2:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        given_up.step(cancelled)
    assert given_up.done == 0
    given_up.micro = whole.micro
    assert given_up.step() == whole.step()
    assert numbers(given_up) == numbers(whole)


def test_where_memory_runs_out_a_batch_is_the_sum_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = random_trainer(), random_trainer()
    loss = whole.step()
    true_loss: Callable[..., torch.Tensor] = training.summed_loss

    def small(model: Transformer, batch: Any) -> torch.Tensor:
        if len(batch.tokens) > 2:
            raise MemoryError
        return true_loss(model, batch)

    monkeypatch.setattr(training, "summed_loss", small)
    assert parts.step() == pytest.approx(loss, abs=1e-5)
    assert parts.micro == 2
    # One step of AdamW is lr times the gradient's sign, so only gradients of rounding size may part: b_K's.
    assert float(np.abs(parts.state() - whole.state()).mean()) < 1e-4


def test_half_precision_is_trained_in_single() -> None:
    config = small_config()
    handle = Model(title="t", source="t", family="transformer", architecture="test", dtype="bfloat16")
    model = Transformer(config, random_state(config, 3), WordTokenizer(WORDS), handle, dtype=torch.bfloat16)
    twin, leaves, tied = private_copy(model)
    assert not tied
    assert {leaf.dtype for leaf in leaves} == {torch.float32}
    assert torch.equal(twin.weights.embed, model.weights.embed.float())


class Ended(WordTokenizer):
    eos_id = 9


def read(label: Any, tokenizer: WordTokenizer, **row: Any) -> Example:
    return make_examples([PromptRow(**row)], tokenizer, n_ctx=8, label=label)[0]


def test_labels() -> None:
    words = Ended(WORDS, "<bos>")
    one = {"clean": "Mary gave", "answers": ("a", "the")}
    several = {"clean": "Mary gave", "answers": ("a drink",)}
    assert {read(label, words, **one) for label in ("answer", "first", "all")} == {Example((0, 1, 3), (2,), (4,))}
    assert read("first", words, **several) == Example((0, 1, 3), (2,), (4,))
    assert read("all", words, **several) == Example((0, 1, 3, 4), (2, 3), (4, 5))
    assert read("answer", words, **several) == Example((0, 1, 3, 9), (2, 3), (4, 5))
    whole = read("first", words, clean="Mary gave a drink", scored_from=3)
    assert whole == Example((0, 1, 3, 4, 5), (2, 3), (4, 5))


def test_examples_of_unequal_length_are_padded_and_only_what_is_there_is_scored() -> None:
    batch = collate([Example((1, 2, 3), (2,), (5,)), Example((4, 5, 6, 7), (2, 3), (6, 7))])
    assert batch.tokens.tolist() == [[1, 2, 3, 0], [4, 5, 6, 7]]
    assert batch.at.tolist() == [[2, 2], [2, 3]]
    assert batch.targets.tolist() == [[5, UNSCORED], [6, 7]]


@pytest.mark.parametrize(
    ("label", "row", "told"),
    [
        ("answer", {"clean": "Mary gave", "answers": ("a drink",)}, "row 1.*no end-of-text token"),
        ("all", {"clean": "a a a a a a", "answers": ("a drink",)}, None),
        ("all", {"clean": "a a a a a a a", "answers": ("a drink",)}, "have 9 tokens"),
        ("first", {"clean": "Mary gave"}, "has no answer"),
        ("first", {"clean": "Mary gave", "answers": ("Sue",)}, "'Sue' is not in the model's vocabulary"),
        ("first", {"clean": "Mary gave", "scored_from": 0}, "the scored part begins"),
    ],
)
def test_wrong_rows_are_told(label: Any, row: dict[str, Any], told: str | None) -> None:
    if told is None:
        read(label, WordTokenizer(WORDS, "<bos>"), **row)
        return
    with pytest.raises(CallError, match=told):
        read(label, WordTokenizer(WORDS, "<bos>"), **row)
