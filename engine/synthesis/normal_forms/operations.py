"""The normal forms as operations: one by one, and all five in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, convert

from engine.operations import Context, ModelRef, Operation, Params
from sessions.artifacts import AnyArtifact, Axis, Column, Matrix, Model, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.rnn import MipsRnn
    from engine.synthesis.normal_forms.network import Network
    from engine.synthesis.normal_forms.pipeline import Thresholds
    from engine.synthesis.normal_forms.preserved import Checked

SEQUENCES = 2_000  # random input sequences on which steps are measured
SOURCE = "Michaud et al. 2024 (MIPS), section 3.2"

_COLUMNS = (
    Column("step", "text"),
    Column("applied", "bool", help="no: the identity, for the reason that is given"),
    Column("largest output difference", "float", help="raw outputs, against the network as given"),
    Column("outputs that round alike", "float", unit="%", help="against the network as given"),
    Column("largest change of W", "float", help="by this step"),
    Column("claims to preserve", "text"),
    Column("condition of the basis", "float", help="condition number of the change of basis; 1 where there is none"),
    Column("threshold", "float"),
    Column("what decided", "text"),
    Column("undone", "text"),
)


class WhitenParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    threshold: Annotated[float, Meta(description="directions of a smaller mean square keep their scale", ge=0)] = 0.1


class JordanParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    threshold: Annotated[
        float, Meta(description="eigenvalues this near are one, singular values below it are zero", gt=0)
    ] = 0.7


class ToeplitzParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    threshold: Annotated[float, Meta(description="an input weight this small is none", gt=0)] = 1e-4


class DebiasParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    threshold: Annotated[
        float, Meta(description="a direction that f reads with a smaller singular value is not read", ge=0)
    ] = 0.1


class QuantizeParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    threshold: Annotated[float, Meta(description="weights this near to an integer are rounded", ge=0, le=0.5)] = 0.01


class NormaliseParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    whiten: Annotated[float, Meta(description="whitening: smaller mean squares keep their scale", ge=0)] = 0.1
    jordan: Annotated[float, Meta(description="Jordan form: eigenvalues this near are one", gt=0)] = 0.7
    toeplitz: Annotated[float, Meta(description="Toeplitz: an input weight this small is none", gt=0)] = 1e-4
    debias: Annotated[float, Meta(description="de-bias: singular values of unread directions", ge=0)] = 0.1
    quantize: Annotated[float, Meta(description="quantize: weights this near to an integer", ge=0, le=0.5)] = 0.01


def whiten(params: WhitenParams, ctx: Context) -> Sequence[AnyArtifact]:
    return _one(params.model, "whiten", params.threshold, ctx)


def jordan(params: JordanParams, ctx: Context) -> Sequence[AnyArtifact]:
    return _one(params.model, "jordan", params.threshold, ctx)


def toeplitz(params: ToeplitzParams, ctx: Context) -> Sequence[AnyArtifact]:
    return _one(params.model, "toeplitz", params.threshold, ctx)


def debias(params: DebiasParams, ctx: Context) -> Sequence[AnyArtifact]:
    return _one(params.model, "debias", params.threshold, ctx)


def quantize(params: QuantizeParams, ctx: Context) -> Sequence[AnyArtifact]:
    return _one(params.model, "quantize", params.threshold, ctx)


def normalise(params: NormaliseParams, ctx: Context) -> Sequence[AnyArtifact]:
    """All five in the paper's order."""
    from engine.synthesis.normal_forms.pipeline import STEPS, Thresholds

    thresholds = Thresholds(*(getattr(params, step) for step in STEPS))
    return _done(params.model, STEPS, thresholds, "normalised", ctx)


def _one(ref: str, step: str, threshold: float, ctx: Context) -> Sequence[AnyArtifact]:
    from engine.synthesis.normal_forms.pipeline import Thresholds

    named = {"whiten": "whitened", "jordan": "in Jordan form", "toeplitz": "after Toeplitz", "debias": "de-biased"}
    return _done(ref, (step,), Thresholds()._replace(**{step: threshold}), named.get(step, "quantized"), ctx)


def _done(ref: str, steps: tuple[str, ...], thresholds: Thresholds, named: str, ctx: Context) -> Sequence[AnyArtifact]:
    """The weights before and after, what each step preserved, and the model that came out, kept in the session."""
    from engine.models.cells import as_mips, why_not_mips
    from engine.synthesis.domain import Domain
    from engine.synthesis.normal_forms.network import network_of
    from engine.synthesis.normal_forms.pipeline import normalised

    given = ctx.rnn(ref)
    model = as_mips(given)
    if model is None:
        raise CallError(why_not_mips(given), given.handle.title, "choose a trained RNN of that form")
    x = Domain(model.inputs, model.low, model.high, model.length).sample(SEQUENCES, ctx.rng).astype(np.float64)
    network = network_of(model.weights)
    found = normalised(network, steps, thresholds, x, ctx.progress)
    ctx.progress(len(steps), len(steps))
    facts = {
        "measured on": f"{SEQUENCES:,} random sequences of {model.low}..{model.high}, length {model.length}",
        "arithmetic": "float64",
        "model": model.handle.title,
        "weights before": model.handle.sha256[:12],
    }
    weights = _weights(network, found, model.handle.title, facts)
    return weights, _table(found, model.handle.title, facts), _model(model, found, named, facts, ctx)


def _weights(network: Network, found: list[Checked], title: str, facts: dict[str, Any]) -> Matrix:
    """W, V and b before the first step and after each."""
    stages = ("before", *(f"after {one.change.step}" for one in found))
    pieces = [_columns(one) for one in (network, *(one.network for one in found))]
    hidden = tuple(f"h{k + 1}" for k in range(network.hidden))
    read = tuple(f"x{k + 1}" for k in range(network.inputs)) if network.inputs > 1 else ("x",)
    whole = [int((part == np.rint(part)).sum()) for part in pieces]
    return Matrix(
        title=f"W, V and b of {title}",
        summary=f"{whole[0]} of {pieces[0].size} entries are integers before, {whole[-1]} after",
        values=np.stack(pieces),
        axes=(Axis("stage", stages), Axis("to", hidden), Axis("from", (*hidden, *read, "bias"))),
        unit="weight",
        scale="diverging",
        facts=facts
        | {
            "columns": "W: the hidden columns h1..; V: the input columns; b: the bias"
            + ("" if len(network.f) == 1 else " of f's last layer; W and V are products of f's layers without ReLUs")
        },
    )


def _columns(network: Network) -> np.ndarray[Any, np.dtype[np.float64]]:
    parts = (network.hidden_columns, network.input_columns, network.f[-1].bias[:, None])
    return np.concatenate(parts, axis=1)


def _table(found: list[Checked], title: str, facts: dict[str, Any]) -> Table:
    rows = tuple(
        (
            one.change.step,
            one.change.applied,
            one.preserved.output_difference,
            100 * one.preserved.agreement,
            one.preserved.update_difference,
            one.change.claims,
            one.change.condition,
            one.change.threshold,
            one.change.decided,
            one.undone,
        )
        for one in found
    )
    applied = [one.change.step for one in found if one.change.applied]
    undone = [one.change.step for one in found if one.undone]
    summary = f"applied: {', '.join(applied) or 'none'}" + (f"; undone: {', '.join(undone)}" if undone else "")
    return Table(title=f"What was preserved of {title}", summary=summary, columns=_COLUMNS, rows=rows, facts=facts)


def _model(model: MipsRnn, found: list[Checked], named: str, facts: dict[str, Any], ctx: Context) -> Model:
    from engine.models.rnn import RnnConfig
    from engine.models.stored_rnn import rnn_bytes, stored_rnn
    from engine.synthesis.normal_forms.network import weights_of

    data = rnn_bytes(convert(model.handle.config, RnnConfig), weights_of(found[-1].network))
    steps = {one.change.step: one.undone or one.change.decided for one in found}
    return stored_rnn(
        data, title=f"{model.handle.title}, {named}", source=ctx.keep_weights(data), facts=facts | {"steps": steps}
    )


def _operation(
    name: str, title: str, summary: str, params: type[Params], function: Callable[[Any, Context], Sequence[AnyArtifact]]
) -> Operation:
    return Operation(
        name=f"synthesis.{name}",
        title=title,
        summary=summary,
        params=params,
        gives=("matrix", "table", "model"),
        function=function,
        source=SOURCE,
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "normalise",
        "Normalise a network",
        "Whitening, Jordan form, Toeplitz, de-bias and rounding, in that order: the weights after each step, what each "
        "preserved as measured, and the network that came out. A step that changes a rounded output is undone.",
        NormaliseParams,
        normalise,
    ),
    _operation(
        "whiten",
        "Whiten hidden states",
        "Scale the hidden state so that its uncentred covariance is 1. No output changes.",
        WhitenParams,
        whiten,
    ),
    _operation(
        "jordan",
        "Jordan form of the update",
        "Hidden coordinates in which the update's matrix is nearly in Jordan form, nearly equal eigenvalues taken "
        "for one. No output changes.",
        JordanParams,
        jordan,
    ),
    _operation(
        "toeplitz",
        "One-hot inputs",
        "Where the update's matrix is in Jordan form: make one input column of each block one-hot, which leaves the "
        "matrix as it is. No output changes.",
        ToeplitzParams,
        toeplitz,
    ),
    _operation(
        "debias",
        "Move unread bias",
        "What the update's bias adds in directions that the update never reads moves into the output's bias.",
        DebiasParams,
        debias,
    ),
    _operation(
        "quantize",
        "Round weights",
        "Weights that are nearly integers become integers. Undone where a rounded output changes.",
        QuantizeParams,
        quantize,
    ),
)
