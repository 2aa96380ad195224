"""Whether a model fits into memory, asked before it is loaded."""

from __future__ import annotations

from typing import NamedTuple

from engine.hardware import BYTES, free_memory, human_bytes
from engine.models.protocols import TransformerConfig
from sessions.errors import CallError

TOKENS = 512  # of one kept pass; prompts of circuit work are shorter


class Forecast(NamedTuple):
    """Bytes. `staging` is what the main memory holds beside that while a checkpoint is converted."""

    needed: int
    free: int
    device: str
    staging: int = 0
    staging_free: int = 0

    @property
    def fits(self) -> bool:
        return self.needed <= self.free and self.staging <= self.staging_free


def forecast(config: TransformerConfig, numbers: int, *, device: str, dtype: str, staged: float = 0.0) -> Forecast:
    """What a transformer of `numbers` weights takes: the weights, and one kept pass of a prompt of 512 tokens (or the
    whole context, if shorter). `staged`: how many whole copies main memory holds beside that while a checkpoint is
    converted (Hugging Face checkpoints are read as a whole first)."""
    size = BYTES[dtype]
    tokens = min(config.n_ctx, TOKENS)
    kept = config.n_layers * (2 * config.d_model + config.n_heads * config.d_head)
    passing = 8 * config.d_model + 3 * config.d_mlp + config.logits + config.n_heads * tokens
    weights = numbers * size
    needed = weights + tokens * (kept + passing) * size
    if not staged:
        return Forecast(needed, free_memory(device), device)
    staging = int(staged * weights)
    if device == "cpu":
        return Forecast(needed + staging, free_memory("cpu"), device)
    return Forecast(needed, free_memory(device), device, staging, free_memory("cpu"))


def refuse_too_big(plan: Forecast, where: str) -> None:
    """CallError with what is needed and what is free, when it does not fit."""
    if plan.fits:
        return
    remedy = "load it as bfloat16, choose a smaller model, or a device with more memory"
    if plan.needed > plan.free:
        needed, free, device = plan.needed, plan.free, plan.device
    else:
        needed, free, device = plan.staging, plan.staging_free, "cpu, where the checkpoint is read first"
    raise CallError(
        f"the model needs {human_bytes(needed)} and {human_bytes(free)} are free on {device}", where, remedy
    )
