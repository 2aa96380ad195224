"""How many prompts times variants go through a model at once: enough to be fast, few enough to fit and to stay polite.

A batch is also the time within which a cancel takes effect and an interactive question is answered, so on a CPU it is
sized to about a second's work.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.hardware import free_memory, rows_that_fit
from engine.models.protocols import TransformerModel

CPU_WORK = 8e10  # floating-point operations per batch: about a second of one core
CPU_TRAFFIC = 6e8  # bytes of activations per batch: what a small model's second goes into instead
GPU_WORK = 4e12
KEPT_SHARE = 0.25  # of the free memory, for clean passes that are kept


class Sizes(NamedTuple):
    rows: int  # prompts x ablated versions of them in one batch
    prompts: int  # of which so many are one chunk of the prompt set
    keep_bytes: int  # for the clean passes of all chunks together

    @property
    def variants(self) -> int:
        """Ablated versions of a chunk that run side by side."""
        return max(1, self.rows // self.prompts)


def sizes(
    model: TransformerModel,
    *,
    prompts: int,
    pos: int,
    scored: int,
    vocabulary: bool,
    most_rows: int = 0,
    extra_floats: int = 0,
) -> Sizes:
    """Batch sizes for `prompts` rows of `pos` tokens, of which `scored` are unembedded (over the `vocabulary`, or a few
    columns). `most_rows` > 0 sets a limit of one's own on prompts x variants.

    Memory of one row is counted generously: the activations of one layer, and the logits three times; and
    `extra_floats` that a method holds for it besides.
    """
    c, device = model.config, str(model.device)
    kv_heads = c.n_kv_heads or c.n_heads
    attention = c.d_model * c.d_head * (2 * c.n_heads + 2 * kv_heads)
    mlp = c.d_model * c.d_mlp * (3 if c.gated_mlp else 2)
    unembedding = scored * c.d_model * (c.logits if vocabulary else 2)
    work = 2 * (pos * c.n_layers * (attention + mlp) + unembedding)
    floats = pos * (6 * c.d_model + 4 * c.n_heads * c.d_head + 3 * c.d_mlp + c.n_heads * pos)
    ends = scored * (3 * c.logits if vocabulary else 8) + extra_floats
    by_work = max(1, int((CPU_WORK if device == "cpu" else GPU_WORK) / work))
    if device == "cpu":
        by_work = max(1, min(by_work, int(CPU_TRAFFIC / (4 * (floats * c.n_layers + ends)))))
    floats += ends
    rows = min(by_work, rows_that_fit(4 * floats, device), most_rows or by_work)
    return Sizes(rows, min(prompts, rows), int(KEPT_SHARE * free_memory(device)))


__all__ = ["Sizes", "sizes"]
