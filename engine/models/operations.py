"""Loading a model, and asking about one before it is loaded, as operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, WeightProcessing

SourceText = Annotated[
    str,
    msgspec.Meta(
        description="zoo:NAME, a Hugging Face name, a checkpoint folder, or a .safetensors file with its .json"
    ),
]
DeviceName = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    msgspec.Meta(description="where to compute; auto takes a GPU if there is one"),
]
DtypeName = Annotated[
    Literal["float32", "bfloat16", "float16"],
    msgspec.Meta(description="number format; float32 for results, the others halve the memory"),
]


class LoadParams(Params, frozen=True):
    source: SourceText
    device: DeviceName = "auto"
    dtype: DtypeName = "float32"
    fold_ln: Annotated[
        bool, msgspec.Meta(description="fold the gain and offset of each norm into the weights that read it")
    ] = False
    center_writing_weights: Annotated[
        bool, msgspec.Meta(description="subtract the mean from what is written to the residual stream (LayerNorm only)")
    ] = False
    center_unembed: Annotated[
        bool, msgspec.Meta(description="subtract the mean logit: probabilities stay, logits shift")
    ] = False
    fold_value_biases: Annotated[
        bool, msgspec.Meta(description="move value biases into the output bias: zeroing a head then keeps their part")
    ] = False

    @property
    def processing(self) -> WeightProcessing:
        return WeightProcessing(
            fold_ln=self.fold_ln,
            center_writing_weights=self.center_writing_weights,
            center_unembed=self.center_unembed,
            fold_value_biases=self.fold_value_biases,
        )


class InspectParams(Params, frozen=True):
    source: SourceText
    device: DeviceName = "auto"
    dtype: DtypeName = "float32"


def load(params: LoadParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The model's handle, after it was really loaded and checked."""
    from engine.models.loading import load_model

    ctx.progress(0, 1, f"loading {params.source}")
    model = load_model(params.source, device=params.device, dtype=params.dtype, processing=params.processing)
    ctx.hold(model)
    ctx.progress(1, 1, model.handle.title)
    return [model.handle]


def inspect(params: InspectParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A table of what the model is and whether it fits, from configuration and file headers alone."""
    from engine.models.inspection import inspect_model

    return [inspect_model(params.source, device=params.device, dtype=params.dtype)]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="models.load",
        title="Load a model",
        summary="Loads a transformer or an RNN and records which one it is: source, hash of the weights, "
        "configuration, device, number format and how the weights were processed.",
        params=LoadParams,
        gives=("model",),
        function=load,
        files=("source",),
    ),
    Operation(
        name="models.inspect",
        title="Look at a model before loading it",
        summary="Architecture, parameters, and memory needed against memory free, from the configuration and the "
        "headers of the weight files. No weights are read.",
        params=InspectParams,
        gives=("table",),
        function=inspect,
        files=("source",),
        interactive=True,
        volatile=True,
    ),
)
