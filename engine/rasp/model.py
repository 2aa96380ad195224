"""A compiled program as a model of the workbench, and as bytes (section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.rasp.compiled import Compiled
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.transformer import Transformer


def to_config(compiled: Compiled) -> TransformerConfig:
    """Its shape. A numerical program has one logit."""
    return TransformerConfig(
        architecture="rasp",
        n_layers=compiled.n_layers,
        n_heads=compiled.n_heads,
        d_model=compiled.d_model,
        d_head=compiled.d_head,
        d_mlp=compiled.d_mlp,
        d_vocab=len(compiled.tokens),
        n_ctx=compiled.domain.max_len + 1,
        act_fn="relu",
        normalization="LN" if compiled.layer_norm else "none",
        attn_scale=compiled.attn_scale,
        attention="causal" if compiled.domain.causal else "bidirectional",
        d_vocab_out=1 if compiled.outputs is None else len(compiled.outputs),
    )


def to_labels(compiled: Compiled) -> Labels:
    """What tokens, logits and residual directions mean, and the program's text where it has one (a Python function that
    is not text has none)."""
    from engine.rasp.printing import to_text

    try:
        text = to_text(compiled.program)
    except CallError:
        text = ""
    return Labels(
        tokens=compiled.tokens,
        bos=compiled.bos,
        pad=compiled.pad,
        outputs=compiled.outputs,
        residual=compiled.residual,
        masks_pad=compiled.masks_pad,
        max_len=compiled.domain.max_len,
        program=text,
    )


def to_bytes(compiled: Compiled) -> bytes:
    """Weights with configuration and labels, as a session keeps them (safetensors)."""
    from engine.models.labelled import encode_model

    return encode_model(to_config(compiled), compiled.state, to_labels(compiled))


def to_transformer(compiled: Compiled, *, device: str = "cpu") -> Transformer:
    """The model itself, in float32."""
    from engine.models.labelled import decode_model

    return decode_model(to_bytes(compiled), device=device)
