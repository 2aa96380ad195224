"""AdamW on the weights of a model that our runtime runs: the arranged tensors of a private copy are the parameters.

Loss: mean cross entropy, in nats, over the scored tokens of a batch; only their logits are computed. There is no
dropout. Sources: Loshchilov and Hutter 2019 (AdamW, betas 0.9 and 0.999, eps 1e-8); the schedules are those of
`transformers.get_scheduler`.
"""

from __future__ import annotations

import copy
import gc
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from engine.hardware import TooLargeError, free_memory, human_bytes, is_out_of_memory
from engine.models.finetuning.examples import UNSCORED, Batch, Example, collate, scored_tokens
from engine.models.transformer import Transformer

Schedule = Literal["constant", "linear", "cosine"]


class Plan(NamedTuple):
    """How to train. `warmup`: the fraction of all steps in which the learning rate rises from 0. `clip`: the largest
    norm of all gradients together; 0: any."""

    epochs: float = 3.0
    batch: int = 64
    lr: float = 5e-5
    schedule: Schedule = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0

    def steps(self, examples: int) -> int:
        return max(1, math.ceil(self.epochs * math.ceil(examples / self.batch)))


def rate(schedule: Schedule, step: int, steps: int, warmup: float) -> float:
    """What the learning rate is multiplied with in step `step` (from 0) of `steps`."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return step / rising
    if schedule == "constant":
        return 1.0
    along = (step - rising) / max(1, steps - rising)
    return max(0.0, 1 - along) if schedule == "linear" else max(0.0, 0.5 * (1 + math.cos(math.pi * along)))


def private_copy(model: Transformer) -> tuple[Transformer, list[Tensor], bool]:
    """The model in float32 with weights of its own that ask for gradients, those weights, each once, and whether
    embedding and unembedding are one tensor: they are if they were equal (GPT-2 ties them)."""
    leaves: list[Tensor] = []

    def own(part: Any) -> Any:
        if isinstance(part, Tensor):
            leaf = part.detach().to(torch.float32, copy=True).requires_grad_()
            leaves.append(leaf)
            return leaf
        if isinstance(part, tuple):
            made = [own(inner) for inner in part]
            return type(part)(*made) if hasattr(part, "_fields") else tuple(made)
        return part

    twin = copy.copy(model.in_dtype(torch.float32))
    weights = twin.weights
    tied = weights.embed.shape == weights.unembed.shape and bool(torch.equal(weights.embed, weights.unembed))
    blocks = own(weights.blocks)
    embed = own(weights.embed)
    twin.weights = weights._replace(
        embed=embed,
        positions=own(weights.positions),
        blocks=blocks,
        ln_final=own(weights.ln_final),
        unembed=embed if tied else own(weights.unembed),
        b_unembed=own(weights.b_unembed),
    )
    return twin, leaves, tied


def scored_logits(model: Transformer, batch: Batch) -> Float[Tensor, "batch k vocab"]:
    """Logits at the scored positions, with gradients."""
    return model.unembed(model.continue_from(0, model.embed(batch.tokens), at=batch.at))


def summed_loss(model: Transformer, batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy in nats, summed over the scored tokens."""
    logits = scored_logits(model, batch)
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=UNSCORED, reduction="sum")


class Measured(NamedTuple):
    """On examples that were not trained on: mean over scored tokens."""

    loss: float
    accuracy: float


class Trainer:
    """Trains a private copy of `model`, step by step. The order of the examples follows from the seed and the epoch
    alone, and `state` holds all else that a step depends on: a trainer with that state goes on bit for bit as this one
    (on the same machine, with as many threads, on the CPU). `micro`: examples that go through the model at once; a
    batch of more is the sum of its parts, which differs from the batch as a whole by rounding."""

    def __init__(self, model: Transformer, examples: Sequence[Example], plan: Plan, micro: int = 0) -> None:
        self.model, self._leaves, self.tied = private_copy(model)
        self.examples, self.plan = examples, plan
        self.micro = min(micro or plan.batch, plan.batch)
        self.per_epoch = math.ceil(len(examples) / plan.batch)
        self.steps = plan.steps(len(examples))
        self.done = 0
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0, dtype=np.int64))
        matrices = [leaf for leaf in self._leaves if leaf.dim() > 1]
        vectors = [leaf for leaf in self._leaves if leaf.dim() < 2]
        groups = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((matrices, plan.weight_decay), (vectors, 0.0))
            if group
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.999), eps=1e-8, foreach=False)

    def step(self, before: Callable[[], None] = lambda: None) -> float:
        """One update, and the loss it was made for. `before` is called before every pass through the model: raising
        there leaves the trainer as after the last whole step."""
        rows = self._rows()
        while True:
            try:
                loss = self._gradients(rows, before)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            gc.collect()
            if self.micro == 1:
                device = str(self.model.device)
                raise TooLargeError(
                    f"one example needs more than the {human_bytes(free_memory(device))} free on {device}",
                    remedy="use shorter prompts, a smaller model, or another device",
                )
            self.micro = max(1, min(self.micro, len(rows)) // 2)
        if self.plan.clip:
            torch.nn.utils.clip_grad_norm_(self._leaves, self.plan.clip)
        for group in self._optimiser.param_groups:
            group["lr"] = self.plan.lr * rate(self.plan.schedule, self.done, self.steps, self.plan.warmup)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.done += 1
        return loss

    def _gradients(self, rows: Sequence[Example], before: Callable[[], None]) -> float:
        self._optimiser.zero_grad(set_to_none=True)
        scored, loss = scored_tokens(rows), 0.0
        with torch.enable_grad():
            for start in range(0, len(rows), self.micro):
                before()
                part = summed_loss(self.model, collate(rows[start : start + self.micro], self.model.device)) / scored
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
        return loss

    def _rows(self) -> list[Example]:
        epoch, within = divmod(self.done, self.per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.plan.seed, epoch]).permutation(len(self.examples))
        chosen = self._order[1][within * self.plan.batch : (within + 1) * self.plan.batch]
        return [self.examples[i] for i in chosen]

    @torch.no_grad()
    def measure(self, examples: Sequence[Example], before: Callable[[], None] = lambda: None) -> Measured:
        """Loss and accuracy of the model as it is now, at most `micro` examples at once."""
        loss, right = 0.0, 0
        for start in range(0, len(examples), self.micro):
            before()
            batch = collate(examples[start : start + self.micro], self.model.device)
            logits = scored_logits(self.model, batch).flatten(0, 1)
            targets = batch.targets.flatten()
            loss += float(F.cross_entropy(logits, targets, ignore_index=UNSCORED, reduction="sum"))
            right += int((logits.argmax(-1) == targets).sum())
        scored = scored_tokens(examples)
        return Measured(loss / scored, right / scored)

    # -- stopping and going on --------------------------------------------------------------------------------------

    def state(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Weights, then both moments of each, in one row of numbers. With `done` and `micro` it is all there is."""
        parts: list[Tensor] = []
        for leaf in self._leaves:
            moments = self._optimiser.state.get(leaf, {})
            zero = torch.zeros_like(leaf)
            parts += [leaf.detach(), moments.get("exp_avg", zero), moments.get("exp_avg_sq", zero)]
        return torch.cat([part.flatten().cpu() for part in parts]).numpy()

    def restore(self, state: np.ndarray[Any, np.dtype[np.float32]], done: int, micro: int) -> None:
        """Go on where another trainer of the same model, examples and plan was. ValueError if the numbers are not so
        many."""
        numbers = torch.from_numpy(state)
        if len(numbers) != 3 * sum(leaf.numel() for leaf in self._leaves):
            raise ValueError("the saved state is of another model")
        self.done, self.micro = done, micro
        at = 0
        for leaf in self._leaves:
            size = leaf.numel()
            parts = [numbers[at + i * size : at + (i + 1) * size].view(leaf.shape) for i in range(3)]
            at += 3 * size
            with torch.no_grad():
                leaf.copy_(parts[0])
            if done:
                self._optimiser.state[leaf] = {
                    "step": torch.tensor(float(done)),
                    "exp_avg": parts[1].to(leaf.device, copy=True),
                    "exp_avg_sq": parts[2].to(leaf.device, copy=True),
                }


def row_bytes(model: Transformer, length: int, scored: int) -> int:
    """Bytes that one example needs in a pass whose gradients are asked for: what each layer keeps, and the logits."""
    c = model.config
    layer = 10 * c.d_model + 4 * c.n_heads * c.d_head + 4 * c.d_mlp + 2 * c.n_heads * length
    return 4 * (length * (c.n_layers * layer + 2 * c.d_model) + 3 * scored * c.logits)


def weight_bytes(model: Transformer) -> int:
    """Bytes for weights, gradients and two moments, and a copy of weights and moments while they are saved."""
    numbers = sum(leaf.numel() for leaf in _tensors(model.weights))
    return 4 * numbers * (4 + 3)


def _tensors(part: Any) -> list[Tensor]:
    if isinstance(part, Tensor):
        return [part]
    return [tensor for inner in part for tensor in _tensors(inner)] if isinstance(part, tuple) else []
