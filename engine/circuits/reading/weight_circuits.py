"""The two circuits of a head, from its weights alone (Elhage et al. 2021, "Splitting attention head terms").

QK says which token attends to which: W_E W_Q W_K^T W_E^T / scale. OV says what attending to a token does to the logits:
W_E W_V W_O W_U. Both leave out what depends on the input (the norms' scale), positions, biases, and everything that
other layers write; for a head of a late layer they are a first approximation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from engine.circuits.reading.model_weights import HeadWeights, head_weights, unembedding, weights_of
from engine.models.protocols import TransformerConfig, TransformerModel
from engine.models.rotary import rotary_table, rotate


def qk_circuit(
    model: TransformerModel, head: HeadWeights, tokens: Int[Tensor, " token"], *, distance: int = 1
) -> Float[Tensor, "query key"]:
    """What these tokens' embeddings score with one another before softmax, the norm's scale left out.

    With rotary positions, for a key that stands `distance` tokens before the query; else positions play no part.
    """
    c = model.config
    embedded = embeddings(model, tokens)
    q, k = turned(c, embedded @ head.q, distance), embedded @ head.k
    return q @ k.T / (c.attn_scale or math.sqrt(c.d_head))


def turned(config: TransformerConfig, q: Float[Tensor, "row d_head"], distance: int) -> Float[Tensor, "row d_head"]:
    """Queries as keys `distance` tokens before them see them: rotary positions turn by the difference only."""
    if config.positions != "rotary":
        return q
    cos, sin = rotary_table(config, distance + 1)
    at = slice(distance, distance + 1)
    return rotate(q[:, None, None], cos[at, None], sin[at, None], config.rotary_adjacent_pairs)[:, 0, 0]


def ov_circuit(
    model: TransformerModel, head: HeadWeights, tokens: Int[Tensor, " token"], *, folded: bool = True
) -> Float[Tensor, "token logit"]:
    """What attending to each token adds to every logit, the norms' scales left out. In the unembedding's precision."""
    w_u = unembedding(model, folded=folded)
    kind = torch.promote_types(w_u.dtype, torch.float32)
    return (embeddings(model, tokens) @ head.v @ head.o).to(kind) @ w_u.to(kind)


def embeddings(model: TransformerModel, tokens: Int[Tensor, " token"]) -> Float[Tensor, "token d_model"]:
    """Rows of W_E in double precision, on the CPU."""
    weights = weights_of(model)
    return weights.embed[tokens.to(weights.embed.device)].cpu().double()


class Spectrum(NamedTuple):
    """The head's maps by themselves. Singular values fall; eigenvalues by their size."""

    qk: Float[Tensor, " d_head"]  # singular values of W_Q W_K^T / scale
    ov: Float[Tensor, " d_head"]  # singular values of W_V W_O
    residual: Complex[Tensor, " d_head"]  # eigenvalues of W_V W_O, the others are 0
    full: (
        Complex[Tensor, " d_head"] | None
    )  # of W_E W_V W_O W_U; None where logits stand for something else than tokens


def spectrum(model: TransformerModel, head: HeadWeights, *, distance: int = 1, folded: bool = True) -> Spectrum:
    """AB and BA have the same eigenvalues but for zeros, so those of the vocabulary-sized OV circuit are found from a
    matrix of d_head x d_head."""
    c = model.config
    q, k = turned(c, head.q, distance), head.k
    full = None
    if c.logits == c.d_vocab and not c.d_vocab_out:
        weights, w_u = weights_of(model), unembedding(model, folded=folded)
        kind = torch.promote_types(w_u.dtype, torch.float32)
        into, out = head.o.to(kind) @ w_u.to(kind), weights.embed.cpu().to(kind) @ head.v.to(kind)
        full = _by_size(torch.linalg.eigvals((into @ out).double()))
    return Spectrum(
        qk=_product_singular_values(q, k.T) / (c.attn_scale or math.sqrt(c.d_head)),
        ov=_product_singular_values(head.v, head.o),
        residual=_by_size(torch.linalg.eigvals(head.o @ head.v)),
        full=full,
    )


def copying_score(eigenvalues: Complex[Tensor, " n"]) -> float:
    """sum(lambda) / sum(|lambda|), from -1 to 1: near 1, attending to a token raises that very token (Elhage et al.,
    "Detecting copying behavior"). NaN where all are 0."""
    return float(eigenvalues.real.sum() / eigenvalues.abs().sum())


def positive_share(eigenvalues: Complex[Tensor, " n"]) -> float:
    """The positive real parts' sum over sum(|lambda|), from 0 to 1."""
    return float(eigenvalues.real.clamp(min=0).sum() / eigenvalues.abs().sum())


def _product_singular_values(a: Float[Tensor, "n r"], b: Float[Tensor, "r m"]) -> Float[Tensor, " r"]:
    """Of a b, from the small triangular factors."""
    left, right = torch.linalg.qr(a)[1], torch.linalg.qr(b.T)[1]
    found: Tensor = torch.linalg.svdvals(left @ right.T)
    return found


def _by_size(values: Complex[Tensor, " n"]) -> Complex[Tensor, " n"]:
    return values[values.abs().argsort(descending=True, stable=True)]


class Composition(NamedTuple):
    """Scores of every earlier head with one head, by which of its inputs reads them."""

    heads: tuple[tuple[int, int], ...]  # layer, head
    scores: Float[Tensor, "earlier 3"]  # Q, K, V


def composition(model: TransformerModel, layer: int, head: int, *, folded: bool = True) -> Composition:
    """How much of what earlier heads write lies where this head reads: ||W_OV1 M||_F / (||W_OV1||_F ||M||_F) with M =
    W_Q W_K^T (Q), its transpose (K), or W_V W_O (V) of this head (Elhage et al. 2021, composition scores).

    Matrices that have nothing to do with each other score about 1 / sqrt(d_model), and a head whose matrix is zero
    scores 0. Norms' scales, MLPs in between and
    positions play no part. Norms of products come from Gram matrices of d_head x d_head.
    """
    own = head_weights(model, layer, head, folded=folded)
    reading = ((own.q, own.k.T), (own.k, own.q.T), (own.v, own.o))  # M = A B, once each for Q, K, V
    sizes = [_norm(a.T @ a, b @ b.T) for a, b in reading]
    earlier = [(at, other) for at in range(layer) for other in range(model.config.n_heads)]
    scores = torch.empty(len(earlier), 3, dtype=torch.double)
    for row, (at, other) in enumerate(earlier):
        v, o = head_weights(model, at, other, folded=folded)[2:]
        gram = v.T @ v
        size = _norm(gram, o @ o.T)
        for column, ((a, b), whole) in enumerate(zip(reading, sizes)):
            through = o @ a
            product = _norm(through.T @ gram @ through, b @ b.T)
            scores[row, column] = product / (size * whole) if size * whole else 0.0
    return Composition(tuple(earlier), scores)


def _norm(left: Float[Tensor, "r r"], right: Float[Tensor, "r r"]) -> Float[Tensor, ""]:
    """||A B||_F from A^T A and B B^T: the trace of their product is its square."""
    return (left * right.T).sum().clamp(min=0).sqrt()


__all__ = [
    "Composition",
    "Spectrum",
    "composition",
    "copying_score",
    "embeddings",
    "ov_circuit",
    "positive_share",
    "qk_circuit",
    "spectrum",
    "turned",
]
