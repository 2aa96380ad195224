"""QK and OV circuits of one head as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import the_prompts
from engine.circuits.reading.direct_operations import check_head
from engine.circuits.reading.lens_operations import check_row
from engine.models.protocols import Tokenizer, answers_of
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table, WeightProcessing
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.reading.model_weights import HeadWeights
    from engine.models.protocols import TransformerModel


class WeightCircuits(Params, frozen=True, kw_only=True):
    """Which head, and between which tokens."""

    model: ModelRef
    layer: Annotated[int, Meta(description="the head's layer, from 0", ge=0)] = 0
    head: Annotated[int, Meta(description="the head, from 0", ge=0)] = 0
    prompts: Annotated[PromptsRef | None, Meta(description="take the tokens of one of these prompts")] = None
    row: Annotated[int, Meta(description="which of the prompts, from 1", ge=1)] = 1
    words: Annotated[str, Meta(description="or these words, with commas; neither: the whole vocabulary")] = ""
    most: Annotated[int, Meta(description="tokens at most: a larger vocabulary is not shown whole", ge=1, le=2048)] = (
        256
    )
    top: Annotated[int, Meta(description="tokens to name that attending raises most", ge=1, le=20)] = 5
    distance: Annotated[int, Meta(description="rotary models: tokens from the key to the query", ge=0)] = 1
    norm: Annotated[
        Literal["folded", "raw"],
        Meta(description="the norms' gain and centring: multiplied into the weights that read them, or left out"),
    ] = "folded"
    composition: Annotated[bool, Meta(description="composition scores with all earlier heads")] = True


def weight_circuits(params: WeightCircuits, ctx: Context) -> Sequence[AnyArtifact]:
    """QK and OV between chosen tokens, what they are as maps, and which earlier heads feed the head by its weights."""
    import torch

    from engine.circuits.reading.model_weights import head_weights
    from engine.circuits.reading.weight_circuits import ov_circuit, qk_circuit

    model = ctx.transformer(params.model)
    layer, head = check_head(model, params.layer, params.head)
    c, name, folded = model.config, f"L{layer}H{head}", params.norm == "folded"
    if c.positions == "rotary" and params.distance >= c.n_ctx:
        raise CallError(f"a distance of {params.distance} tokens", "distance", f"the context holds {c.n_ctx}")
    ids, chosen = _tokens(params, ctx, model)
    steps = 3 if params.composition and layer else 2
    ctx.progress(0, steps, f"{name}: {len(ids)} tokens")
    own = head_weights(model, layer, head, folded=folded)
    labels = tuple(model.tokenizer.token_texts(ids))
    tokens = torch.tensor(ids)
    facts = _facts(params, model, name) | {"tokens": chosen, "n_tokens": len(ids)}
    results: list[AnyArtifact] = [
        _matrix(
            f"QK circuit of {name}",
            "attention scores before softmax: row attends to column",
            facts | {"definition": "W_E W_Q W_K^T W_E^T / scale"},
            qk_circuit(model, own, tokens, distance=params.distance).numpy(),
            (Axis("query", labels), Axis("key", labels)),
            "score x sigma_query x sigma_key" if c.normalization != "none" else "score",
        )
    ]
    ov = ov_circuit(model, own, tokens, folded=folded)
    defined = facts | {"definition": "W_E W_V W_O W_U"}
    unit = "logits x sigma x sigma_final" if c.normalization != "none" else "logits"
    spoken = answers_of(model.tokenizer)
    shared = spoken is model.tokenizer
    columns = ids if shared else list(range(min(c.logits, params.most)))
    outputs = tuple(spoken.token_texts(columns))
    results.append(
        _matrix(
            f"OV circuit of {name}",
            "what attending to the row's token adds to the column's logit",
            defined,
            ov[:, torch.tensor(columns)].numpy(),
            (Axis("attended", labels), Axis("logit", outputs)),
            unit,
        )
    )
    results.append(_raised(params, defined, name, labels, ids if shared else None, ov, spoken, unit))
    ctx.progress(1, steps, f"{name}: spectrum")
    results.append(_spectrum(params, facts, name, model, own))
    ctx.progress(2, steps, f"{name}: earlier heads")
    if params.composition and layer:
        results.append(_composition(facts, name, model, layer, head, folded=folded))
        ctx.progress(3, steps, f"{name}: earlier heads")
    return results


def _facts(params: WeightCircuits, model: TransformerModel, name: str) -> dict[str, Any]:
    c, processing = model.config, model.handle.processing
    flags = {flag: bool(getattr(processing, flag)) for flag in WeightProcessing.__struct_fields__}
    kind = {"LN": "LayerNorm's gain and centring", "RMS": "the RMS norm's gain", "none": ""}[c.normalization]
    if not kind:
        norm = "there is no norm"
    elif processing.fold_ln:
        norm = f"{kind} are in the weights since loading; the scale 1 / sigma of the input is left out"
    elif params.norm == "folded":
        norm = f"{kind} multiplied into W_Q, W_K, W_V and W_U here, as folding does; the scale 1 / sigma is left out"
    else:
        norm = f"{kind} left out, as is the scale 1 / sigma: the plain product of the trained matrices"
    facts: dict[str, Any] = {
        "model": model.handle.source,
        "model_title": model.handle.title,
        "dtype": f"weights in {model.handle.dtype}, products in float64; those with W_U in float32",
        "weights": str(processing),
        "processing": flags,
        "head": name,
        "norm": norm,
        "left_out": "biases, position embeddings, MLPs, and what other heads write",
    }
    if c.positions == "rotary":
        facts["distance"] = f"the key stands {params.distance} tokens before the query (rotary positions)"
    if c.n_kv_heads and c.n_kv_heads != c.n_heads:
        facts["shared"] = f"W_K and W_V are shared by {c.n_heads // c.n_kv_heads} heads (grouped-query attention)"
    return facts


def _tokens(params: WeightCircuits, ctx: Context, model: TransformerModel) -> tuple[list[int], str]:
    """The tokens chosen, each once, and in words how they were."""
    tokenizer = model.tokenizer
    if params.words.strip():
        ids = list(dict.fromkeys(_token(tokenizer, word) for word in params.words.split(",") if word.strip()))
        chosen = "words that were given"
    elif params.prompts is not None:
        rows = the_prompts(ctx, params.prompts).rows
        check_row(params.row, len(rows))
        bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        ids = list(dict.fromkeys([*bos, *tokenizer.encode(rows[params.row - 1].clean)]))
        chosen = f"those of prompt {params.row}, each once"
    else:
        ids, chosen = list(range(model.config.d_vocab)), "the whole vocabulary"
        if len(ids) > params.most:
            raise CallError(
                f"the vocabulary has {len(ids):,} tokens, and at most {params.most} are shown",
                "words",
                "name words, or prompts whose tokens are to be taken, or raise most",
            )
    if len(ids) > params.most:
        raise CallError(f"{len(ids)} tokens are more than {params.most}", "most", "name fewer, or raise most")
    return ids, chosen


def _token(tokenizer: Tokenizer, word: str) -> int:
    """The word's one token: as it stands within a text, with a space before it, else by itself."""
    for text in (f" {word.strip()}", word.strip()):
        ids = tokenizer.encode(text)
        if len(ids) == 1:
            return ids[0]
    pieces = " | ".join(repr(piece) for piece in tokenizer.token_texts(ids))
    raise CallError(f"'{word.strip()}' is not one token: it splits into {pieces}", "words", "give words of one token")


def _matrix(title: str, what: str, facts: dict[str, Any], values: Array, axes: tuple[Axis, Axis], unit: str) -> Matrix:
    values = values.astype(np.float32)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    best = f"highest '{axes[0].labels[row]}' to '{axes[1].labels[column]}' ({values[row, column]:.3g})"
    return Matrix(
        title=title, summary=f"{what}; {best}", facts=facts, values=values, axes=axes, unit=unit, scale="diverging"
    )


def _raised(
    params: WeightCircuits,
    facts: dict[str, Any],
    name: str,
    labels: tuple[str, ...],
    ids: list[int] | None,
    ov: Any,
    spoken: Tokenizer,
    unit: str,
) -> Table:
    """Which logits attending to each token raises most, over all there are."""
    most = min(params.top, ov.shape[1])
    found, rows, copied = ov.topk(most, -1), [], 0
    for row, label in enumerate(labels):
        own, rank = None, None
        if ids is not None:
            own = float(ov[row, ids[row]])
            rank = int((ov[row] > ov[row, ids[row]]).sum()) + 1
            copied += rank == 1
        texts = spoken.token_texts(found.indices[row].tolist())
        raised = (f"{text} {float(value):.3g}" for text, value in zip(texts, found.values[row]))
        rows.append((label, own, rank, *raised))
    return Table(
        title=f"What attending with {name} raises",
        summary=f"{copied} of {len(labels)} tokens raise themselves most"
        if ids is not None
        else f"{len(labels)} tokens",
        facts=facts,
        columns=(
            Column("attended", "text"),
            Column("own logit", "float", unit, "what attending to the token adds to its own logit"),
            Column("own rank", "int", "", "of all logits; 1: it raises itself most"),
            *(Column(f"raised {i + 1}", "text", "", f"token and {unit}") for i in range(most)),
        ),
        rows=tuple(rows),
    )


def _spectrum(
    params: WeightCircuits, facts: dict[str, Any], name: str, model: TransformerModel, own: HeadWeights
) -> Table:
    from engine.circuits.reading.weight_circuits import copying_score, positive_share, spectrum

    found = spectrum(model, own, distance=params.distance, folded=params.norm == "folded")
    scores = {"W_V W_O": found.residual} | ({} if found.full is None else {"W_E W_V W_O W_U": found.full})
    copying = {of: _number(copying_score(values)) for of, values in scores.items()}
    told = {
        "copying_score": copying,
        "positive_share": {of: _number(positive_share(values)) for of, values in scores.items()},
        "copying_score_is": "sum of eigenvalues / sum of their sizes, -1 to 1 (Elhage et al. 2021)",
        "positive_share_is": "sum of the positive real parts / sum of the sizes, 0 to 1",
    }
    rows = []
    for i in range(len(found.qk)):
        full = (None, None) if found.full is None else (float(found.full[i].real), float(found.full[i].imag))
        residual = (float(found.residual[i].real), float(found.residual[i].imag))
        rows.append((i + 1, float(found.qk[i]), float(found.ov[i]), *residual, *full))
    of = list(scores)[-1]
    score = copying[of]
    return Table(
        title=f"Spectrum of {name}",
        summary=f"copying score {'-' if score is None else f'{score:+.3f}'} ({of}); largest singular values "
        f"QK {float(found.qk[0]):.3g}, OV {float(found.ov[0]):.3g}",
        facts=facts | told,
        columns=(
            Column("number", "int"),
            Column("QK singular value", "float", "", "of W_Q W_K^T / scale"),
            Column("OV singular value", "float", "", "of W_V W_O"),
            Column("OV eigenvalue", "float", "", "of W_V W_O, real part; by size"),
            Column("imaginary", "float", "", "of W_V W_O"),
            Column("full OV eigenvalue", "float", "", "of W_E W_V W_O W_U, real part; by size"),
            Column("full imaginary", "float", "", "of W_E W_V W_O W_U"),
        ),
        rows=tuple(rows),
    )


def _composition(
    facts: dict[str, Any], name: str, model: TransformerModel, layer: int, head: int, *, folded: bool
) -> Matrix:
    from engine.circuits.reading.weight_circuits import composition

    found = composition(model, layer, head, folded=folded)
    values = found.scores.numpy().astype(np.float32)
    heads = tuple(f"L{at}H{other}" for at, other in found.heads)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    chance = 1 / model.config.d_model**0.5
    return Matrix(
        title=f"Composition of earlier heads with {name}",
        summary=f"highest {heads[row]} into {'QKV'[int(column)]} with {values[row, column]:.3f}; weights that have "
        f"nothing to do with each other: {chance:.3f}",
        facts=facts
        | {
            "definition": "||W_OV M||_F / (||W_OV||_F ||M||_F), M = W_Q W_K^T (Q), W_K W_Q^T (K), W_V W_O (V) of this "
            "head, W_OV of the earlier one (Elhage et al. 2021)",
            "chance": chance,
            "chance_is": "about 1 / sqrt(d_model), for weights without preferred directions",
        },
        values=values,
        axes=(Axis("component", heads), Axis("input", ("Q", "K", "V"))),
        unit="composition score",
    )


def _number(value: float) -> float | None:
    return None if value != value else float(value)


__all__ = ["WeightCircuits", "weight_circuits"]
