"""The approximate Jordan form of W, for matrices whose equal eigenvalues are equal only nearly. Section 3.

Training leaves an eigenvalue of multiplicity m as m values on a small circle, and a plain eigendecomposition then has
eigenvectors that are almost parallel. Here eigenvalues within `eps` count as one, singular values below `eps` as zero.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from engine.synthesis.normal_forms.change_of_basis import Change, change_basis, unchanged
from engine.synthesis.normal_forms.network import Network

Square = Float[np.ndarray[Any, Any], "hidden hidden"]
ComplexArray = Complex[np.ndarray[Any, Any], "..."]
ROUNDS = 3
CLEARLY = 0.05  # W departs from the form by more than noise
LARGEST = 1e4  # a weight beyond it undoes the step
_CLAIMS = "outputs, exactly"


class NoFormError(Exception):
    """The matrix has no Jordan form at this threshold; the message says why."""


class Chain(NamedTuple):
    """Generalized eigenvectors of one eigenvalue, the eigenvector first: W v_k = lambda v_k + v_(k-1), nearly."""

    eigenvalue: complex
    vectors: ComplexArray  # (hidden, length)


def jordan(network: Network, eps: float = 0.7) -> Change:
    """Hidden coordinates in which W is nearly in (real) Jordan form: A W A^-1, A the inverse of the chains' matrix.

    Repeated on the result while that brings W nearer to the form, at most three times. The identity where the form is
    not found, or where a weight of the result is not finite or larger than 1e4.
    """
    w = network.hidden_columns
    try:
        found, vectors = _nearest_form(w, eps)
        for _ in range(ROUNDS - 1):
            again, further = _nearest_form(np.linalg.solve(vectors, w @ vectors), eps)
            if deviation(w, vectors @ further, again) >= deviation(w, vectors, found):
                break
            found, vectors = again, vectors @ further
        basis = np.linalg.inv(vectors)
    except (NoFormError, np.linalg.LinAlgError) as problem:
        return unchanged("jordan", network, _CLAIMS, eps, f"no Jordan form: {problem}")
    after = change_basis(network, basis, vectors)
    if not after.finite(LARGEST):
        return unchanged("jordan", network, _CLAIMS, eps, f"undone: a weight would exceed {LARGEST:g}")
    decided = f"blocks: {', '.join(map(_in_words, found))}; W departs by {deviation(w, vectors, found):.2g}"
    return Change("jordan", after, basis, _CLAIMS, eps, decided)


def _nearest_form(matrix: Square, eps: float) -> tuple[tuple[Chain, ...], Square]:
    """The chains with kernels told at eps. Whitening may leave two levels of a chain coupled by less than eps, which
    then passes for zero and stays beside the blocks: so where W departs clearly from the form, a tenth and a hundredth
    of eps are tried for the kernels, and the nearest form is taken."""
    tried: list[tuple[float, tuple[Chain, ...], Square]] = []
    failed = NoFormError("no threshold")
    for kernel in (eps, eps / 10, eps / 100):
        try:
            found = chains(matrix, eps, kernel)
            vectors = real_basis(found)
            tried.append((deviation(matrix, vectors, found), found, vectors))
        except NoFormError as problem:
            failed = problem
        if tried and tried[-1][0] <= CLEARLY:
            break
    if not tried:
        raise failed
    _, found, vectors = min(tried, key=lambda one: one[0])
    return found, vectors


def chains(matrix: Square, eps: float, kernel: float | None = None) -> tuple[Chain, ...]:
    """Chains of generalized eigenvectors, as many vectors as the matrix has rows: real eigenvalues from the largest,
    then of each complex pair the one above the real axis. `kernel`: singular values below it are zero (eps, if not
    given). NoFormError where grouping or counting fails."""
    found: list[Chain] = []
    groups = _groups(np.linalg.eigvals(matrix).astype(complex), eps)
    for k, (centre, group) in enumerate(groups):
        if centre.imag >= 0:
            others = np.concatenate([np.zeros(0), *(members for _, members in groups[:k] + groups[k + 1 :])])
            found += _chains_of(matrix, centre, group, others, eps if kernel is None else kernel)
    return tuple(sorted(found, key=lambda c: (c.eigenvalue.imag > 0, -len(c.vectors.T), -c.eigenvalue.real)))


def real_basis(found: tuple[Chain, ...]) -> Square:
    """The chains as columns. A complex pair's chains become real by (1, i; 1, -i)/sqrt2: sqrt2 Re and sqrt2 Im of each
    vector, side by side, where W acts as the 2 x 2 block (a, b; -b, a) of a + bi."""
    columns: list[Float[np.ndarray[Any, Any], "hidden some"]] = []
    for eigenvalue, vectors in found:
        if eigenvalue.imag == 0:
            columns.append(vectors.real)
        else:
            pair = np.stack([vectors.real, vectors.imag], axis=2) * np.sqrt(2)
            columns.append(pair.reshape(len(vectors), -1))
    return np.concatenate(columns, axis=1)


def ideal(found: tuple[Chain, ...]) -> Square:
    """The exact real Jordan matrix that the chains stand for."""
    blocks = [_block(c.eigenvalue, c.vectors.shape[1]) for c in found]
    size = sum(map(len, blocks))
    whole = np.zeros((size, size))
    at = 0
    for block in blocks:
        whole[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return whole


def deviation(matrix: Square, vectors: Square, found: tuple[Chain, ...]) -> float:
    """The largest entry by which the matrix, in the basis of these vectors, departs from the chains' exact form."""
    return float(np.abs(np.linalg.solve(vectors, matrix @ vectors) - ideal(found)).max())


def _block(eigenvalue: complex, length: int) -> Square:
    one = np.array([[eigenvalue.real]])
    if eigenvalue.imag:
        one = np.array([[eigenvalue.real, eigenvalue.imag], [-eigenvalue.imag, eigenvalue.real]])
    whole: Square = np.kron(np.eye(length), one) + np.kron(np.eye(length, k=1), np.eye(len(one)))
    return whole


def _groups(values: ComplexArray, eps: float) -> list[tuple[complex, ComplexArray]]:
    """The groups of eigenvalues within eps of each other, each with its average. NoFormError unless `within eps` is
    transitive. Conjugates fall into the same group (whose average is then real) or into conjugate groups."""
    near = np.abs(values[:, None] - values[None]) < eps
    groups: list[tuple[complex, ComplexArray]] = []
    for members in sorted({tuple(np.flatnonzero(row)) for row in near}):
        chosen = values[list(members)]
        if not near[np.ix_(members, members)].all() or near[list(members)].sum() != len(members) ** 2:
            raise NoFormError(f"eigenvalues nearer than {eps:g} do not fall into groups")
        centre = complex(chosen.mean())
        closed = bool(np.abs(chosen[:, None] - chosen.conj()[None]).min(axis=1).max() < 1e-9 * (1 + abs(centre)))
        groups.append((complex(centre.real) if closed else centre, chosen))
    return groups


def _invariant_subspace(matrix: Square, others: ComplexArray, size: int) -> ComplexArray:
    """An orthonormal basis of the subspace that belongs to the remaining eigenvalues: what the product of
    (W - lambda) over the others leaves. Within it a block of another eigenvalue cannot pass for a kernel."""
    product = np.eye(len(matrix), dtype=complex)
    for value in others:
        product = (matrix - value * np.eye(len(matrix))) @ product
        product /= np.linalg.norm(product)
    if np.abs(product.imag).max() < 1e-9:
        product = product.real
    left: ComplexArray = np.linalg.svd(product)[0][:, :size]
    return left


def _chains_of(
    matrix: Square, eigenvalue: complex, group: ComplexArray, others: ComplexArray, eps: float
) -> list[Chain]:
    """The chains of one group, from the deepest level down."""
    size = len(group)
    within = _invariant_subspace(matrix, others, size)
    shifted = within.conj().T @ matrix @ within - eigenvalue * np.eye(size)
    if eigenvalue.imag == 0:
        if np.iscomplexobj(within):
            raise NoFormError(f"no real subspace belongs to eigenvalue {eigenvalue.real:.3g}")
        shifted = shifted.real
    kernels = [np.zeros((size, 0))]
    power = np.eye(size)
    while kernels[-1].shape[1] < size and len(kernels) <= size:
        power = shifted @ power
        kernels.append(_kernel(power, eps))
    sizes = [k.shape[1] for k in kernels]
    if sizes[-1] != size or not all(a < b for a, b in pairwise(sizes)):
        raise NoFormError(f"eigenvalue {eigenvalue:.3g}, {size} times, has kernels of dimension {sizes[1:]}")
    levels: list[list[ComplexArray]] = [[] for _ in kernels]  # by level, one vector of each chain that reaches so deep
    found: list[Chain] = []
    for level in range(len(kernels) - 1, 0, -1):
        known = np.column_stack([kernels[level - 1], *levels[level]])
        missing = sizes[level] - sizes[level - 1] - len(levels[level])
        if missing < 0:
            raise NoFormError(f"the chains of eigenvalue {eigenvalue:.3g} do not fit its kernels")
        for head in _complement(kernels[level], known, missing):
            levels[level].append(head)
            chain = [head]
            for _ in range(level - 1):
                chain.append(shifted @ chain[-1])
            vectors = within @ np.stack(chain[::-1], axis=1)
            found.append(Chain(eigenvalue, vectors * np.sqrt(level) / np.linalg.norm(vectors)))
        levels[level - 1] = [shifted @ vector for vector in levels[level]]
    return found


def _kernel(matrix: ComplexArray, eps: float) -> ComplexArray:
    _, values, right = np.linalg.svd(matrix)
    found: ComplexArray = right[values < eps].conj().T
    return found


def _complement(space: ComplexArray, known: ComplexArray, count: int) -> list[ComplexArray]:
    """`count` orthonormal vectors of a space, as far from the known vectors as can be."""
    basis = np.linalg.qr(known)[0] if known.shape[1] else known
    rest = space - basis @ (basis.conj().T @ space)
    left = np.linalg.svd(rest)[0]
    return [left[:, k] for k in range(count)]


def _in_words(chain: Chain) -> str:
    length = chain.vectors.shape[1]
    value = f"{chain.eigenvalue.real:.4g}"
    if chain.eigenvalue.imag:
        value += f" +- {chain.eigenvalue.imag:.4g}i"
    return f"{value} x {length}" if length > 1 else value
