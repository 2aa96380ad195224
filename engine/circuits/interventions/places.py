"""Which token positions a patch is confined to, prompt by prompt, and what they are called. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from engine.circuits.reading.attention_operations import token_labels
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch

Positions = Literal["auto", "all", "each", "named"]


class Places(NamedTuple):
    """`at` is None where a patch covers all positions at once: then there is one place."""

    at: Int[Tensor, "place example"] | None
    labels: tuple[str, ...]
    words: str

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, with the position's number where several are called the same."""
        return tuple(
            f"{label.strip()} ({i})" if self.labels.count(label) > 1 else label for i, label in enumerate(self.labels)
        )


def places_of(positions: Positions, model: TransformerModel, rows: Sequence[PromptRow], batch: TokenBatch) -> Places:
    """The places of a prompt set. CallError when `each` is asked of prompts of unequal length, or `named` of prompts
    that share no name."""
    import torch

    if positions == "all":
        return Places(None, ("all",), "all positions at once")
    if positions == "named":
        shared = [name for name in rows[0].positions if all(name in row.positions for row in rows)]
        index: dict[tuple[int, ...], str] = {}
        for name in sorted(shared, key=lambda name: rows[0].positions[name]):
            index.setdefault(tuple(row.positions[name] for row in rows), name)
        if not index:
            raise CallError(
                "no named position is in every prompt", "positions", "use positions=each or positions=all instead"
            )
        names = tuple(index.values())
        return Places(torch.tensor(list(index)), names, f"one named position at a time: {', '.join(names)}")
    low, high = int(batch.lengths.min()), int(batch.lengths.max())
    if low != high:
        named = "positions=named, " if any(row.positions for row in rows) else ""
        raise CallError(
            f"the prompts have {low} to {high} tokens, so their positions do not line up",
            "positions",
            f"make them with template=..., or use {named}or positions=all",
        )
    labels = token_labels(model, rows, batch, "clean") or tuple(map(str, range(high)))
    every = torch.arange(high)[:, None].expand(-1, len(rows))
    groups = len({row.group for row in rows})
    mixed = f" ({groups} templates of equal length are mixed)" if groups > 1 else ""
    return Places(every, labels, f"one position at a time{mixed}")


__all__ = ["Places", "Positions", "places_of"]
