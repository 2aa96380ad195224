"""Loading a model, and asking about one before it is loaded, as operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from engine.models.finetuning.finetune_operations import FINETUNE
from engine.models.finetuning.generate_operations import GENERATE
from engine.operations import Context, ModelRef, Operation, Params
from sessions.artifacts import AnyArtifact, Model, Text, WeightProcessing
from sessions.errors import CallError

if TYPE_CHECKING:
    from pathlib import Path

SourceText = Annotated[
    str,
    msgspec.Meta(
        description="zoo:NAME, a Hugging Face name, a folder (checkpoint or compiled), a .safetensors with its .json, "
        "or the .pt of a recurrent network"
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


class SaveParams(Params, frozen=True):
    model: ModelRef
    folder: Annotated[
        str, msgspec.Meta(description="folder to write to: weights.safetensors, and what its numbers are", min_length=1)
    ]
    overwrite: Annotated[bool, msgspec.Meta(description="replace those two files if others are there")] = False


class ImportParams(Params, frozen=True):
    arrays: Annotated[
        str, msgspec.Meta(description=".npz with token_embed, pos_embed, blocks.0.attn.W_Q, ..., unembed")
    ]
    labels: Annotated[str, msgspec.Meta(description="labels.json, or a file that lists the labels of several programs")]
    name: Annotated[str, msgspec.Meta(description="which of several; empty: the one whose file this is")] = ""


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


def save(params: SaveParams, ctx: Context) -> Sequence[AnyArtifact]:
    """What was written, and where."""
    from pathlib import Path

    from engine.models.folders import read_folder, write_folder
    from engine.models.labelled import open_model
    from engine.models.sources import LABELS
    from engine.models.stored import is_compiled, write_trained

    handle = ctx.artifact(params.model)
    assert isinstance(handle, Model)
    data = ctx.stored_weights(params.model) if handle.source.startswith("session:") else None
    if handle.family == "transformer" and data is not None and not is_compiled(data):
        written = write_trained(Path(params.folder), data, handle.title, overwrite=params.overwrite)
        return [_saved(handle, params.folder, written, str(written[0]))]
    if handle.family == "rnn" and data is not None:
        from engine.models.stored_rnn import write_rnn

        written = write_rnn(Path(params.folder), data, handle.title, overwrite=params.overwrite)
        return [_saved(handle, params.folder, written, str(written[0]))]
    if handle.family == "transformer" and data is not None:
        model = open_model(data, handle.source)
    elif handle.family == "transformer" and (Path(handle.source) / LABELS).is_file():
        model = read_folder(Path(handle.source))
        if model.sha256 != handle.sha256:
            raise CallError("the folder's model is another one now", handle.source, "load it again")
    else:
        raise CallError(
            f"{handle.title} was made neither here nor by a compiler", "models.save", "choose a model of this session"
        )
    written = write_folder(Path(params.folder), model, overwrite=params.overwrite)
    return [_saved(handle, params.folder, written, params.folder)]


def _saved(handle: Model, folder: str, written: Sequence[Path], source: str) -> Text:
    lines = "\n".join(f"- `{path}` ({path.stat().st_size:,} bytes)" for path in written)
    how = f"Load it with `models.load source={source}`."
    return Text(title=f"{handle.title}, saved", summary=folder, markdown=f"{lines}\n\n{how}\n")


def import_arrays(params: ImportParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The model, kept in the session."""
    from pathlib import Path

    from engine.models.folders import read_arrays
    from engine.models.labelled import handle_of

    model = read_arrays(Path(params.arrays), Path(params.labels), params.name)
    if model.ignored:
        ctx.log(f"arrays that are no weights: {', '.join(model.ignored[:8])}")
    data = model.to_bytes()
    title = params.name or Path(params.arrays).stem
    return [handle_of(data, title=title, source=ctx.keep_weights(data))]


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
    Operation(
        name="models.save",
        title="Save a model of the session",
        summary="Writes a compiled or a trained model into a folder of its own, weights.safetensors and beside it what "
        "its numbers are, from which models.load reads it again.",
        params=SaveParams,
        gives=("text",),
        function=save,
        outputs=("folder",),
        volatile=True,
    ),
    Operation(
        name="models.import_arrays",
        title="Import a compiled model",
        summary="Makes a model of plain arrays in an .npz and labels in JSON, such as other compilers write, and keeps "
        "it in the session.",
        params=ImportParams,
        gives=("model",),
        function=import_arrays,
        files=("arrays", "labels"),
    ),
    FINETUNE,
    GENERATE,
)
