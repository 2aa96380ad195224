"""Verified decoding: a candidate counts only when it was compiled and held against the model it is to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Float32

from engine.rasp import forward
from engine.rasp.agreement import Agreement, compare, defined, inputs_of
from engine.rasp.compiled import Array, Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Value
from engine.rasp.language import SOp
from engine.rasp.metamodel.decoding import Written
from engine.rasp.sampling.flatten import Sizes, flatten, flatten_state
from engine.rasp.sampling.tokens import detokenise
from engine.rasp.vectorised import Batch
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel

Kind = Literal[
    "same weights", "equal on all inputs", "equal where defined", "equal on a sample", "differs", "does not compile",
    "malformed",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "same weights",
    "equal on all inputs",
    "equal where defined",
    "equal on a sample",
    "differs",
    "does not compile",
    "malformed",
)
VERIFIED = KINDS[:4]
MOST_INPUTS = 4_000
SILENT = 0.25  # of the largest spread of logits anywhere: below it, a model says nothing (its program gives None)
APPROXIMATE = 0.02  # how far numbers of a model that was compressed may be off


class Candidate(NamedTuple):
    written: Written
    kind: Kind
    why: str  # what is wrong, or the first difference, or on what it was found equal
    program: SOp | None

    @property
    def verified(self) -> bool:
        return self.kind in VERIFIED


class _Logits(Protocol):
    def __call__(self, inputs: Sequence[Sequence[Value]]) -> list[Float[Array, "pos outputs"]]: ...


@dataclass(frozen=True)
class Target:
    """A model to explain: its weights as the meta-model reads them, and what it does."""

    domain: Domain
    vector: Float32[np.ndarray, " weights"]
    sizes: Sizes
    outputs: tuple[Value, ...] | None
    logits: _Logits
    exact: bool = True  # weights as compiled; False: in another basis, compressed, with LayerNorm

    @classmethod
    def of(cls, compiled: Compiled) -> Target:
        def logits(inputs: Sequence[Sequence[Value]]) -> list[Float[Array, "pos outputs"]]:
            found: list[Array] = []
            for group in _by_length(inputs):
                made = forward.run(compiled, forward.encode(compiled, group)).logits
                found += [row[1 : len(x) + 1] for row, x in zip(made, group)]
            return found

        return cls(
            domain=compiled.domain,
            vector=flatten(compiled),
            sizes=Sizes.of(compiled),
            outputs=compiled.outputs,
            logits=logits,
            exact=bool(compiled.residual) and not compiled.layer_norm,
        )

    @classmethod
    def of_model(cls, model: TransformerModel, state: dict[str, Array], where: str = "") -> Target:
        """A model of the workbench and its weights by name. CallError when nothing says what its tokens mean."""
        import torch

        from engine.rasp.execution import labels_of, token_ids
        from engine.rasp.reading import domain_of

        labels, config = labels_of(model, where), model.config
        sizes = Sizes(
            config.n_layers,
            config.n_heads,
            config.d_model,
            config.d_head,
            config.d_mlp,
            config.d_vocab,
            config.n_ctx,
        )

        def logits(inputs: Sequence[Sequence[Value]]) -> list[Float[Array, "pos outputs"]]:
            found: list[Array] = []
            for group in _by_length(inputs):
                tokens = torch.tensor(token_ids(labels, group), device=model.device)
                made = model.unembed(model.forward(tokens).resid_pre[-1])
                found += list(made[:, 1:].float().cpu().numpy())
            return found

        return cls(
            domain=domain_of(labels, config.n_ctx, config.attention == "causal"),
            vector=flatten_state(state, sizes),
            sizes=sizes,
            outputs=labels.outputs,
            logits=logits,
            exact=bool(labels.residual) and config.normalization == "none",
        )

    @cached_property
    def tested(self) -> tuple[list[tuple[Value, ...]], bool]:
        """The inputs that behaviour is compared on, shortest first, and whether they are all there are."""
        inputs, whole = inputs_of(self.domain, np.random.default_rng(0), MOST_INPUTS)
        return sorted(inputs, key=len), whole

    @cached_property
    def behaviour(self) -> list[list[Value]]:
        """What it says on those inputs; None where it says nothing."""
        made = self.logits(self.tested[0])
        if self.outputs is None:
            return [[float(number) for number in row[:, 0]] for row in made]
        if len(self.outputs) == 1:
            return [[self.outputs[0] if x > 0.5 else None for x in row[:, 0]] for row in made]
        spreads = [np.ptp(row, axis=-1) for row in made]
        least = SILENT * max(float(s.max()) for s in spreads)
        return [
            [self.outputs[i] if s > least else None for i, s in zip(row.argmax(-1).tolist(), spread.tolist())]
            for row, spread in zip(made, spreads)
        ]

    @cached_property
    def batch(self) -> Batch:
        return Batch(self.tested[0], self.domain.causal)


def _by_length(inputs: Sequence[Sequence[Value]]) -> list[list[Sequence[Value]]]:
    """Neighbours of one length together, at most 512."""
    groups: list[list[Sequence[Value]]] = []
    for x in inputs:
        if not groups or len(groups[-1][0]) != len(x) or len(groups[-1]) == 512:
            groups.append([])
        groups[-1].append(x)
    return groups


def check(target: Target, written: Written, *, behaviour: bool = True) -> Candidate:
    """One candidate held against the target: the same weights, or else the same behaviour.

    `behaviour=False` goes by the weights alone, where they can be compared; then "differs" says no more than that.
    """
    try:
        program = detokenise(written.tokens)
    except CallError as error:
        return Candidate(written, "malformed", str(error), None)
    try:
        compiled = compile_program(program, target.domain)
    except CallError as error:
        return Candidate(written, "does not compile", str(error), program)
    same = target.exact and _same_weights(target, compiled)
    told = f"all {len(target.vector):,} weights are the same"
    if not behaviour and target.exact:
        return Candidate(written, *(("same weights", told) if same else ("differs", "other weights")), program)
    agreement = agreement_with(target, program)
    if not agreement.holds or agreement.undefined >= agreement.tested:
        return Candidate(written, "differs", agreement.difference or "it is hardly ever defined", program)
    if same:
        return Candidate(written, "same weights", told, program)
    return Candidate(written, _equal(agreement), f"on {agreement.tested:,} inputs", program)


def check_all(target: Target, candidates: Sequence[Written], *, behaviour: bool = True) -> list[Candidate]:
    """Every candidate, the best first: by what was proved, then by probability."""
    found = [check(target, written, behaviour=behaviour) for written in candidates]
    return sorted(found, key=lambda c: (KINDS.index(c.kind), -c.written.log_probability))


def _same_weights(target: Target, compiled: Compiled) -> bool:
    return (
        Sizes.of(compiled) == target.sizes
        and compiled.outputs == target.outputs
        and bool(np.allclose(flatten(compiled), target.vector, rtol=1e-5, atol=1e-6))
    )


def agreement_with(target: Target, program: SOp) -> Agreement:
    """The candidate, as the interpreter has it, against what the target says. Where one says nothing, so must the
    other."""
    inputs, whole = target.tested
    says = [None if row is None else [_NOTHING if v is None else v for v in row] for row in _values(target, program)]
    wanted = [[_NOTHING if v is None else v for v in row] for row in target.behaviour]
    return compare(
        inputs,
        [None if s is None else w for s, w in zip(says, wanted)],
        says,
        exhaustive=whole,
        tolerance=1e-3 if target.exact else APPROXIMATE,
    )


_NOTHING = "(none)"  # None, but compared


def _values(target: Target, program: SOp) -> list[list[Value] | None]:
    inputs = target.tested[0]
    try:
        return list(target.batch.evaluate(program))
    except (ValueError, TypeError, ArithmeticError):
        return defined(lambda some: Batch(some, target.domain.causal).evaluate(program), inputs)


def _equal(agreement: Agreement) -> Kind:
    if not agreement.exhaustive:
        return "equal on a sample"
    return "equal on all inputs" if not agreement.undefined else "equal where defined"
