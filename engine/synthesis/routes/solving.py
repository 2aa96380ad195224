"""One network of the benchmark from its file to a checked program: the unit that the benchmark hands out."""

from __future__ import annotations

import json
import time
import zlib
from pathlib import Path

import msgspec
import numpy as np

from sessions.artifacts import Proof, Verdict
from sessions.errors import IwbError


class Solved(msgspec.Struct, frozen=True, kw_only=True):
    """What came out for one task."""

    task: str
    route: str = ""
    length: int = 0  # description length in tokens
    table: bool = False
    source: str = ""
    verdicts: tuple[Verdict, ...] = ()
    proofs: tuple[Proof, ...] = ()
    seconds: dict[str, float] = {}  # by stage
    open: str = ""  # why there is no program

    @property
    def solved(self) -> bool:
        """A program without a table that agrees with network and target wherever it was tested."""
        return bool(self.source) and not self.table and all(v.holds for v in self.verdicts) and len(self.verdicts) == 2

    def against(self, what: str) -> bool:
        return any(v.holds for v in self.verdicts if v.against == what)

    def proved(self, *, every_length: bool) -> bool:
        return any(p.status == "proved" for p in self.proofs if p.every_length == every_length)


def solve(weights: str, seed: int) -> Solved:
    """Extract from the network in that .safetensors file (its .json beside it), test and prove what comes out.

    The seed of each network's own sampling comes from the step's seed and the file's name, so order does not matter.
    """
    import torch

    from engine.models.rnn import load_rnn
    from engine.synthesis.checks.verdicts import check, prove_program
    from engine.synthesis.domain import Domain
    from engine.synthesis.routes.extraction import extract

    torch.set_num_threads(1)
    path = Path(weights)
    model = load_rnn(path, json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    domain = Domain(model.inputs, model.low, model.high, model.length)
    rng = np.random.default_rng([seed, zlib.crc32(path.stem.encode())])
    start = time.perf_counter()
    try:
        extraction = extract(model, domain, rng=rng)
    except IwbError as error:
        return Solved(task=path.stem, open=str(error), seconds={"extract": time.perf_counter() - start})
    seconds = dict(extraction.seconds)
    best = extraction.best
    start = time.perf_counter()
    verdicts = check(best.source, model, domain, seed)
    seconds["check"] = time.perf_counter() - start
    start = time.perf_counter()
    proofs = prove_program(best.source, model, domain)
    seconds["prove"] = time.perf_counter() - start
    return Solved(
        task=path.stem,
        route=best.route,
        length=best.length,
        table=best.table,
        source=best.source,
        verdicts=verdicts,
        proofs=proofs,
        seconds=seconds,
    )
