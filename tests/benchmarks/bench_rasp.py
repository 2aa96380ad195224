"""Compiling, sampling and decompiling RASP, beside the published figures of the original, which needs JAX and is not on
the package index: 26 ms a program warm, and 1,000 CPU-hours for 1.6 million programs. A peer that does run here stands
beside them: HookedTransformer, making the same models from weights that are already there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from engine.rasp.batching import compile_batch
from engine.rasp.compiled import Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import SOp
from engine.rasp.library import LIBRARY, program
from engine.rasp.sampling.sampler import sample_many

WARM = 26.0  # milliseconds a program, Tracr
HOURS = 1_000.0  # CPU-hours for 1.6 million programs
PROGRAMS = 1_000
DOMAIN = Domain((0, 1, 2, 3, 4), 5)


def milliseconds(work: Callable[[Any], Any], items: Sequence[Any]) -> list[float]:
    """Each item's own time, the faster of two goes: other work on the machine only adds."""
    found = []
    for item in items:
        times = []
        for _ in range(2):
            start = time.perf_counter()
            work(item)
            times.append(time.perf_counter() - start)
        found.append(1000 * min(times))
    return found


def hooked(compiled: Compiled) -> HookedTransformer:
    """The same model in TransformerLens, from weights that are already made."""
    config = HookedTransformerConfig(
        n_layers=compiled.n_layers,
        d_model=compiled.d_model,
        n_ctx=compiled.domain.max_len + 1,
        d_head=compiled.d_head,
        n_heads=compiled.n_heads,
        d_mlp=compiled.d_mlp,
        d_vocab=len(compiled.tokens),
        d_vocab_out=1 if compiled.outputs is None else len(compiled.outputs),
        act_fn="relu",
        normalization_type=None,
        attention_dir="bidirectional",
        attn_scale=compiled.attn_scale,
        use_attn_scale=True,
    )
    model = HookedTransformer(config)
    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in compiled.state.items()}
    model.load_state_dict(state, strict=False)
    return model


def measure() -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    library: list[tuple[SOp, Domain]] = [
        (program(name), Domain(tuple(entry.vocab), entry.max_len, entry.causal)) for name, entry in LIBRARY.items()
    ]
    tracr = "Tracr, published, warm"
    times = milliseconds(lambda pair: compile_program(*pair), library)
    slowest = f"{len(times)} programs, slowest {max(times):.2f} ms"
    rows = [_row("compile, standard library (median)", statistics.median(times), WARM, "ms", tracr, slowest)]
    start = time.perf_counter()
    sampled = sample_many(PROGRAMS, length=6, rng=np.random.default_rng(0))
    each = (time.perf_counter() - start) / len(sampled)
    programs = [one.program for one in sampled]
    times = milliseconds(lambda p: compile_program(p, DOMAIN), programs)
    tail = f"90th percentile {np.quantile(times, 0.9):.2f} ms"
    rows.append(_row("compile, 1,000 sampled (median)", statistics.median(times), WARM, "ms", tracr, tail))
    theirs = statistics.median(milliseconds(hooked, [compile_program(p, DOMAIN) for p in programs[:20]]))
    peer = "HookedTransformer, from ready weights"
    rows.append(_row("compile, beside making the model", statistics.median(times), theirs, "ms", peer, "same run"))
    fastest = min(batch_seconds(programs) for _ in range(2)) / len(programs)
    rate = f"{1 / fastest:,.0f} programs a second in one process"
    rows.append(_row("compile a batch to padded stacks, each", 1000 * fastest, WARM, "ms", tracr, rate))
    rate = f"{1 / each:,.0f} different programs a second in one process, compiled"
    rows.append(_row("1.6 million programs, length 6", 1.6e6 * each / 3600, HOURS, "CPU-hours", "published", rate))
    return rows


def batch_seconds(programs: Sequence[SOp]) -> float:
    """Compiled and laid out as stacks, a hundred rows at a time."""
    start = time.perf_counter()
    stack = compile_batch(programs, DOMAIN)
    for at in range(0, len(stack), 100):
        stack.tensors(range(at, min(at + 100, len(stack))))
    return time.perf_counter() - start


def _row(name: str, ours: float, peer: float, unit: str, peer_name: str, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": peer / ours,
        "unit": unit,
        "peer_name": peer_name,
        "note": note,
    }
