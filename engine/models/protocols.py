"""What analysis code may know of a model. Torch is named in signatures only; nothing here loads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from sessions.artifacts import Model
from sessions.components import HeadInput

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int
    from torch import Tensor

    from engine.models.labels import Labels


class RotaryScaling(msgspec.Struct, frozen=True, kw_only=True):
    """Llama 3's stretching of rotary frequencies: those with a wavelength beyond `original_ctx / low` are divided by
    `factor`, those below `original_ctx / high` stay, and between them they are blended."""

    factor: float
    low: float
    high: float
    original_ctx: int


class TransformerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a transformer that reads one sequence."""

    architecture: str  # gpt2, llama, gpt_neox, attn-only, ...
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int = 0  # 0: attention only
    d_vocab: int
    n_ctx: int
    n_kv_heads: int = 0  # 0: as many as heads
    act_fn: str = "gelu_new"
    gated_mlp: bool = False
    normalization: Literal["LN", "RMS", "none"] = "LN"
    eps: float = 1e-5
    positions: Literal["learned", "rotary", "none"] = "learned"
    rotary_dim: int = 0
    rotary_base: float = 10000.0
    rotary_adjacent_pairs: bool = False
    rotary_scaling: RotaryScaling | None = None
    parallel_attn_mlp: bool = False
    attn_scale: float = 0.0  # scores are divided by it; 0: sqrt(d_head)
    attention: Literal["causal", "bidirectional"] = "causal"
    d_vocab_out: int = 0  # 0: as many logits as tokens; else the logits are of another vocabulary (Labels.outputs)

    @property
    def logits(self) -> int:
        """How many logits there are at a position."""
        return self.d_vocab_out or self.d_vocab


@runtime_checkable
class Tokenizer(Protocol):
    """Text to token ids and back. Tokens carry their leading space as the tokenizer writes it."""

    name: str
    bos_id: int | None  # put before every prompt when not None

    def encode(self, text: str) -> list[int]:
        """Ids of the text, without a beginning-of-sequence token. CallError names a word outside the vocabulary."""
        ...

    def decode(self, ids: list[int]) -> str: ...

    def token_texts(self, ids: list[int]) -> list[str]:
        """Each id as a person reads it."""
        ...


@runtime_checkable
class TwoVocabularies(Tokenizer, Protocol):
    """The tokenizer of a model whose logits stand for other values than its tokens do, as compiled programs' do."""

    pad_id: int | None  # fills up the shorter rows of a batch
    mixes_lengths: bool  # rows of unequal length may share a batch: attention is causal, or the weights mask padding
    outputs: Tokenizer  # what answers are looked up in: its ids count logits


def answers_of(tokenizer: Tokenizer) -> Tokenizer:
    """What the model's logits stand for."""
    return tokenizer.outputs if isinstance(tokenizer, TwoVocabularies) else tokenizer


class Cache(NamedTuple):
    """One clean forward, kept small: the residual stream before each layer, what heads mixed, what MLPs wrote."""

    resid_pre: Float[Tensor, "layers_plus_1 batch pos d_model"]  # the last entry is the final residual stream
    z: Float[Tensor, "layer batch pos head d_head"]  # mixed values, before W_O
    mlp_out: Float[Tensor, "layer batch pos d_model"]  # zeros where there is no MLP
    pattern: Float[Tensor, "layer batch head query key"] | None  # after softmax, when asked for


@runtime_checkable
class Edit(Protocol):
    """Changes made to a pass on its way. Rows are the flattened batch (variant-major: all prompts of variant 0 first).

    Only the layers in `layers` are asked; every method returns a tensor of the same shape, in place or new.
    """

    layers: frozenset[int]

    def z(self, layer: int, z: Float[Tensor, "rows pos head d_head"]) -> Float[Tensor, "rows pos head d_head"]: ...

    def mlp_out(self, layer: int, out: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]: ...


class Attended(Protocol):
    """What one layer's attention gives."""

    @property
    def z(self) -> Float[Tensor, "rows query head d_head"]: ...

    @property
    def pattern(self) -> Float[Tensor, "rows head query key"] | None: ...


class TransformerModel(Protocol):
    """A transformer of one stack. Whole passes (`forward`, `run_from`) are evaluated without gradients; parts keep
    them, if any are asked for.

    Prompts are right-padded. Where attention is causal, padding after the last token changes nothing before it, and no
    mask is needed; where it is bidirectional, rows of unequal length come with padding tokens that the weights
    themselves do not attend to (see `prompts.tokenized`)."""

    handle: Model
    labels: Labels | None  # what tokens, logits and directions mean; of compiled models
    config: TransformerConfig
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype

    def forward(self, tokens: Int[Tensor, "batch pos"], *, pattern: bool = False, upto: int | None = None) -> Cache:
        """One pass, kept. `upto` stops before that layer (then later entries are missing)."""
        ...

    def run_from(
        self,
        layer: int,
        residual: Float[Tensor, "rows pos d_model"],
        *,
        edit: Edit | None = None,
        start: Literal["attention", "mlp"] = "attention",
        at: Int[Tensor, "rows k"] | None = None,
    ) -> Float[Tensor, "rows pos_or_k d_model"]:
        """The final residual stream (before the last norm), from layer `layer` on, given what enters it.

        `start="mlp"`: `residual` is what enters the MLP sub-block, attention already added (for parallel blocks this is
        refused with ValueError: there the MLP reads what attention reads). With `at`, only those positions of the
        result are computed in the last block and returned.
        """
        ...

    def in_dtype(self, dtype: torch.dtype) -> TransformerModel:
        """The same model with weights in another number format; this one stays as it is."""
        ...

    def unembed(
        self, residual: Float[Tensor, "rows k d_model"], columns: Int[Tensor, " column"] | None = None
    ) -> Float[Tensor, "rows k vocab"]:
        """Final norm and unembedding; with `columns`, only those tokens' logits."""
        ...

    def attention_output(
        self, layer: int, z: Float[Tensor, "rows pos head d_head"]
    ) -> Float[Tensor, "rows pos d_model"]:
        """z W_O summed over heads, plus b_O: what attention adds to the residual stream."""
        ...

    def head_output(
        self, layer: int, head: int, z: Float[Tensor, "rows pos d_head"]
    ) -> Float[Tensor, "rows pos d_model"]:
        """One head's part of it, without b_O."""
        ...

    def head_outputs(
        self, layer: int, z: Float[Tensor, "rows pos some d_head"], heads: Sequence[int] | None = None
    ) -> Float[Tensor, "some rows pos d_model"]:
        """Several heads' parts, each by itself, without b_O; of all heads if none are named."""
        ...

    def attend(self, layer: int, x: Float[Tensor, "rows pos d_model"]) -> Attended:
        """One layer's mixed values given the residual stream that enters it."""
        ...

    def projections(
        self, layer: int, x: Float[Tensor, "rows pos d_model"]
    ) -> tuple[Float[Tensor, "rows pos head d_head"], ...]:
        """Queries, keys and values of every head given the residual stream that enters a layer, positions not yet
        rotated in."""
        ...

    def head_inputs(
        self, layer: int, wanted: Sequence[tuple[HeadInput, int]], x: Float[Tensor, "rows pos d_model"]
    ) -> Float[Tensor, "rows pos wanted d_head"]:
        """Some inputs of some heads, from a residual stream that only they read."""
        ...

    def head_input_weight(self, layer: int, name: HeadInput, head: int) -> Float[Tensor, "d_head d_model"]:
        """What a head multiplies the normed residual stream with to get an input."""
        ...

    def pull_back(
        self,
        layer: int,
        wanted: Sequence[tuple[HeadInput, int]],
        x: Float[Tensor, "rows pos d_model"],
        gradients: Float[Tensor, "rows pos wanted d_head"],
    ) -> Float[Tensor, "wanted rows pos d_model"]:
        """Gradients with respect to these inputs of heads, as gradients with respect to the residual stream that enters
        the layer, each through its own input alone."""
        ...

    def mix(
        self,
        q: Float[Tensor, "rows query head d_head"],
        k: Float[Tensor, "rows key head d_head"],
        v: Float[Tensor, "rows key head d_head"],
        *,
        at: Int[Tensor, "rows query"] | None = None,
        pattern: bool = False,
    ) -> Attended:
        """What heads mix from their queries, keys and values; `at` says where the queries stand, if not everywhere."""
        ...

    def mlp(self, layer: int, x: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        """What one layer's MLP adds, given the residual stream it reads."""
        ...


class RecurrentModel(Protocol):
    """h_t = f(h_{t-1}, x_t), y_t = g(h_t), h_0 = 0: f and g are MLPs (MIPS, section 2.1), or f is an Elman, GRU or LSTM
    cell. The rounded y are the outputs, also where a class is chosen."""

    handle: Model
    task: str  # the task it was trained on, for titles only; "" if unknown
    hidden: int
    inputs: int
    outputs: int
    low: int  # the inputs it was trained on: integers low..high, both included,
    high: int
    length: int  # in sequences of that length

    def step(
        self, h: Float[Tensor, "batch hidden"], x: Float[Tensor, "batch inputs"]
    ) -> Float[Tensor, "batch hidden"]: ...

    def readout(self, h: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch outputs"]: ...

    def run(
        self, x: Float[Tensor, "batch pos inputs"]
    ) -> tuple[Float[Tensor, "batch pos hidden"], Float[Tensor, "batch pos outputs"]]:
        """Hidden states after each input, and outputs (round them)."""
        ...


@runtime_checkable
class HasLogits(Protocol):
    """A recurrent network whose outputs are chosen from the readout's numbers: classes, or signs."""

    def logits(self, h: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch written"]:
        """What the readout's last layer gives."""
        ...


__all__ = [
    "Attended",
    "Cache",
    "Edit",
    "HasLogits",
    "RecurrentModel",
    "RotaryScaling",
    "Tokenizer",
    "TransformerConfig",
    "TransformerModel",
    "TwoVocabularies",
    "answers_of",
]
