"""A prompt set on a model, ready to be ablated: chunks of prompts, their clean passes, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.ablation import (
    AblationKind,
    Replacement,
    mean_replacement,
    resample_replacement,
    zero_replacement,
)
from engine.circuits.metrics import Interval, Metric, Targets, within_slack
from engine.hardware import TooLargeError, free_memory, human_bytes
from engine.models.protocols import Cache, TransformerModel
from engine.prompts.tokenized import TokenBatch

ROUNDING_UNITS = 32  # in the last place of the largest logit


class Chunk(NamedTuple):
    """Some rows of the prompt set, on the model's device."""

    rows: slice
    tokens: Int[Tensor, "batch pos"]
    corrupt: Int[Tensor, "batch pos"] | None
    lengths: Int[Tensor, " batch"]
    at: Int[Tensor, "batch k"]
    targets: Targets
    columns: Int[Tensor, " column"] | None  # the only tokens whose logits are needed, or None for all
    clean: Float[Tensor, " batch"]  # the metric of the unablated model, on the CPU


class PromptRuns:
    """Prompts cut into chunks of at most `rows`, each with its clean pass.

    Clean passes are kept while they fit into `keep_bytes` together, and done again each time otherwise; results do not
    depend on it. `like`, the same prompts with another metric, lends its chunks and passes. ValueError when the
    ablation needs corrupt prompts, or the metric foils, that the batch lacks. `before` is called before every batch is
    measured: there a run may be given up with nothing lost.
    """

    def __init__(
        self,
        model: TransformerModel,
        batch: TokenBatch,
        metric: Metric,
        ablation: AblationKind = "zero",
        *,
        rows: int = 64,
        keep_bytes: int = 2**31,
        like: PromptRuns | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        if ablation == "resample" and batch.corrupt is None:
            raise ValueError("resample ablation needs corrupt prompts")
        if metric.needs_foils and batch.foils is None:
            raise ValueError(f"the metric {metric.name} needs foils")
        self.model, self.metric, self.ablation = model, metric, ablation
        self._batch, self._keep_bytes = batch, keep_bytes
        self._before = before
        self.size = len(batch.tokens)
        self.aligned = bool((batch.lengths == batch.lengths[0]).all())
        self._kept: dict[tuple[str, int], Cache] = {} if like is None else like._kept
        self._budget = keep_bytes if like is None else 0
        count = -(-self.size // rows) if like is None else len(like.chunks)
        even = -(-self.size // count)
        self.chunks: tuple[Chunk, ...] = tuple(
            self._chunk(batch, start, start + even) for start in range(0, self.size, even)
        )
        self._fixed: Replacement | None = self._fixed_replacement() if like is None else like._fixed

    @property
    def replacement_words(self) -> str:
        """Which values replace what is ablated, in the words a result carries."""
        match self.ablation:
            case "zero":
                return "zero"
            case "mean":
                over = "per position" if self.aligned else "over all positions (prompts differ in length)"
                return f"mean of {self.size} clean prompts, {over}"
            case "resample":
                return "the same component's value on the paired corrupt prompt"

    def narrower(self, like: PromptRuns | None = None) -> PromptRuns:
        """The same in chunks of half as many prompts, for what needs more memory than a clean pass. TooLargeError when
        a chunk is one prompt already. `like`: as on construction."""
        rows = max(len(chunk.tokens) for chunk in self.chunks)
        if rows == 1:
            raise TooLargeError(
                f"one prompt needs more than the {human_bytes(free_memory(str(self.model.device)))} free on "
                f"{self.model.device}",
                remedy="use shorter prompts, a smaller dtype, a smaller model, or another device",
            )
        return PromptRuns(
            self.model,
            self._batch,
            self.metric,
            self.ablation,
            rows=rows // 2,
            keep_bytes=self._keep_bytes,
            like=like,
            before=self._before,
        )

    @property
    def clean(self) -> Float[Tensor, " example"]:
        return torch.cat([chunk.clean for chunk in self.chunks])

    def cache(self, index: int) -> Cache:
        """The clean pass of chunk `index`."""
        return self._pass("clean", index, self.chunks[index].tokens)

    def corrupt_cache(self, index: int) -> Cache:
        """The pass of chunk `index` over its corrupt prompts. ValueError when the batch has none."""
        corrupt = self.chunks[index].corrupt
        if corrupt is None:
            raise ValueError("these prompts came without corrupt partners")
        return self._pass("corrupt", index, corrupt)

    def replacement(self, index: int) -> Replacement:
        """What ablated components write on the prompts of chunk `index`."""
        if self._fixed is not None:
            return self._fixed
        return resample_replacement(self.corrupt_cache(index))

    def values(self, index: int, final: Float[Tensor, "variant_batch k d_model"]) -> Float[Tensor, "variant batch"]:
        """The metric per variant and example, on the CPU, from the final residual stream at the scored positions."""
        self._before()
        chunk = self.chunks[index]
        return self.metric.function(self._logits(chunk, final), chunk.targets).cpu()

    def bounds(self, index: int, final: Float[Tensor, "variant_batch k d_model"]) -> Interval:
        """What the metric can be, per variant and example, when the same pass in a batch of another shape rounds
        differently: logits then differ by a few units in the last place of the largest (8 seen, 32 allowed)."""
        chunk = self.chunks[index]
        logits = self._logits(chunk, final)
        slack = ROUNDING_UNITS * torch.finfo(self.model.dtype).eps * float(logits.abs().max())
        found = within_slack(self.metric, logits, chunk.targets, slack)
        return Interval(found.low.cpu(), found.high.cpu())

    def bounded(
        self, index: int, final: Float[Tensor, "variant_batch k d_model"]
    ) -> tuple[Float[Tensor, "variant batch"], Interval]:
        """`values` and `bounds` from the same logits."""
        self._before()
        chunk = self.chunks[index]
        logits = self._logits(chunk, final)
        slack = ROUNDING_UNITS * torch.finfo(self.model.dtype).eps * float(logits.abs().max())
        found = within_slack(self.metric, logits, chunk.targets, slack)
        return self.metric.function(logits, chunk.targets).cpu(), Interval(found.low.cpu(), found.high.cpu())

    def logits(
        self, index: int, final: Float[Tensor, "variant_batch k d_model"]
    ) -> Float[Tensor, "variant batch k vocab"]:
        """All logits at the scored positions, in single precision."""
        logits = self.model.unembed(final).float()
        return logits.view(-1, len(self.chunks[index].tokens), *logits.shape[1:])

    def _logits(self, chunk: Chunk, final: Tensor) -> Float[Tensor, "variant batch k vocab"]:
        logits = self.model.unembed(final, chunk.columns).float()
        return logits.view(-1, len(chunk.tokens), *logits.shape[1:])

    def _pass(self, side: str, index: int, tokens: Int[Tensor, "batch pos"]) -> Cache:
        kept = self._kept.get((side, index))
        if kept is not None:
            return kept
        cache = self.model.forward(tokens)
        size = sum(part.nbytes for part in cache[:3])
        if size <= self._budget:
            self._budget -= size
            self._kept[side, index] = cache
        return cache

    def _fixed_replacement(self) -> Replacement | None:
        match self.ablation:
            case "zero":
                return zero_replacement(self.model.config, self.model.device, self.model.dtype)
            case "mean":
                passes = ((self.cache(index), chunk.lengths) for index, chunk in enumerate(self.chunks))
                return mean_replacement(passes, per_position=self.aligned)
            case "resample":
                return None

    def _chunk(self, batch: TokenBatch, start: int, stop: int) -> Chunk:
        device = self.model.device
        rows = slice(start, min(stop, self.size))
        lengths = batch.lengths[rows]
        # Attention that looks ahead is kept from padding by the embeddings alone, which an ablation may cut: as much
        # of it then in every chunk, or values would depend on the size of batches.
        ahead = self.model.config.attention == "bidirectional"
        longest = batch.tokens.shape[1] if ahead else int(lengths.max())
        tokens = batch.tokens[rows, :longest].to(device)
        at = batch.at[rows].to(device)
        targets = Targets(
            answers=_alternatives(batch.answers, batch.all_answers, rows, device),
            foils=None if batch.foils is None else _alternatives(batch.foils, batch.all_foils, rows, device),
        )
        columns = None
        if not self.metric.needs_vocabulary:
            targets, columns = _only_columns(targets)
        chunk = Chunk(
            rows=rows,
            tokens=tokens,
            corrupt=None if batch.corrupt is None else batch.corrupt[rows, :longest].to(device),
            lengths=lengths.to(device),
            at=at,
            targets=targets,
            columns=columns,
            clean=torch.empty(0),
        )
        self._before()
        cache = self._pass("clean", start // (stop - start), tokens)
        logits = self._logits(chunk, at_positions(cache.resid_pre[-1], at))[0]
        if self.metric.needs_clean:
            clean = targets._replace(clean=logits.log_softmax(-1), clean_logits=logits)
            chunk = chunk._replace(targets=clean)
        return chunk._replace(clean=self.metric.function(logits, chunk.targets).cpu())


def at_positions(
    values: Float[Tensor, "batch_or_1 pos_or_1 *width"], at: Int[Tensor, "batch k"]
) -> Float[Tensor, "batch_or_1 k_or_1 *width"]:
    """The values at each row's positions `at`; what is the same at every position stays as it is."""
    if values.shape[1] == 1:
        return values
    if values.shape[0] == 1:
        return values[0][at]
    return values[torch.arange(len(at), device=at.device)[:, None], at]


def _alternatives(
    first: Int[Tensor, "batch k"], every: Int[Tensor, "batch n"] | None, rows: slice, device: torch.device
) -> Int[Tensor, "batch k n"]:
    chosen = first[rows, :, None] if every is None else every[rows, None, :]
    return chosen.to(device)


def _only_columns(targets: Targets) -> tuple[Targets, Int[Tensor, " column"]]:
    """The targets renumbered to the columns of the few tokens that they name, and those tokens."""
    named = [targets.answers] if targets.foils is None else [targets.answers, targets.foils]
    columns: Tensor = torch.unique(torch.cat([tokens.flatten() for tokens in named]).clamp(min=0))

    def renumbered(tokens: Tensor) -> Tensor:
        return torch.where(tokens >= 0, torch.searchsorted(columns, tokens.clamp(min=0)), -1)

    foils = None if targets.foils is None else renumbered(targets.foils)
    return targets._replace(answers=renumbered(targets.answers), foils=foils), columns


__all__ = ["Chunk", "PromptRuns", "at_positions"]
