"""The normalizers: outputs stay (by torch's unroll), covariance is one, Jordan and Toeplitz forms are known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy  # type: ignore[import-untyped]
import torch

from engine.models.rnn import RnnConfig, unroll
from engine.synthesis.normal_forms.change_of_basis import Change, change_basis
from engine.synthesis.normal_forms.debias import debias
from engine.synthesis.normal_forms.jordan import NoFormError, chains, ideal, jordan, real_basis
from engine.synthesis.normal_forms.network import Affine, Network, network_of, weights_of
from engine.synthesis.normal_forms.preserved import checked, measure
from engine.synthesis.normal_forms.quantize import quantize
from engine.synthesis.normal_forms.toeplitz import jordan_blocks, toeplitz
from engine.synthesis.normal_forms.whitening import whiten

DEPTHS = [((), ()), ((6,), ()), ((6, 5), (4,)), ((), (7, 6))]


def random_network(
    f: tuple[int, ...], g: tuple[int, ...], seed: int = 0, hidden: int = 3
) -> tuple[Network, dict[str, torch.Tensor]]:
    config = RnnConfig(hidden=hidden, inputs=2, outputs=2, f=f, g=g)
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) * 0.4
        for name, shape in config.shapes().items()
    }
    return network_of(weights), weights


def sequences(seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).integers(-3, 4, (50, 8, 2)).astype(np.float64)


def outputs(network: Network, x: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """By torch's unroll of the weights as they would be stored."""
    weights = {name: torch.tensor(value) for name, value in weights_of(network).items()}
    return unroll(weights, torch.tensor(x))[1].numpy()


@pytest.mark.parametrize(("f", "g"), DEPTHS)
def test_a_network_as_pieces_computes_what_it_computed(f: tuple[int, ...], g: tuple[int, ...]) -> None:
    network, weights = random_network(f, g)
    states, found = unroll(weights, torch.tensor(sequences()))
    np.testing.assert_allclose(network.run(sequences())[0], states.numpy(), atol=1e-12)
    np.testing.assert_allclose(network.run(sequences())[1], found.numpy(), atol=1e-12)


@pytest.mark.parametrize(("f", "g"), DEPTHS)
def test_a_change_of_basis_changes_the_states_and_no_output(f: tuple[int, ...], g: tuple[int, ...]) -> None:
    network, _ = random_network(f, g)
    basis = np.random.default_rng(2).normal(size=(3, 3))
    after = change_basis(network, basis)
    np.testing.assert_allclose(after.run(sequences())[0], network.run(sequences())[0] @ basis.T, atol=1e-9)
    np.testing.assert_allclose(outputs(after, sequences()), outputs(network, sequences()), atol=1e-9)


@pytest.mark.parametrize(("f", "g"), DEPTHS)
@pytest.mark.parametrize("seed", range(4))
def test_every_exact_step_leaves_the_outputs_alone(f: tuple[int, ...], g: tuple[int, ...], seed: int) -> None:
    network, _ = random_network(f, g, seed)
    x = sequences()
    for change in (whiten(network, network.run(x)[0]), jordan(network), toeplitz(network), debias(network, 1e-9)):
        np.testing.assert_allclose(outputs(change.network, x), outputs(network, x), atol=1e-6)


def test_whitened_states_have_unit_covariance() -> None:
    network, _ = random_network((6,), ())
    hidden = network.run(sequences())[0]
    points = whiten(network, hidden, eps=1e-6).network.run(sequences())[0].reshape(-1, 3)
    np.testing.assert_allclose(points.T @ points / len(points), np.eye(3), atol=1e-8)


def test_a_direction_that_hardly_varies_keeps_its_scale() -> None:
    network = affine(np.diag([0.5, 0.5]), np.array([[2.0], [0.01]]))
    change = whiten(network, network.run(np.ones((1, 5, 1)))[0] * np.array([1, 1]), eps=0.1)
    assert "1 of 2 directions scaled" in change.decided
    # One eigenvector of the covariance is (2, 0.01) scaled to length 1; across it A is the identity.
    across = np.array([-0.01, 2.0]) / np.hypot(0.01, 2.0)
    np.testing.assert_allclose(change.basis @ across, across, atol=1e-9)


def affine(
    w: np.ndarray[Any, Any], v: np.ndarray[Any, Any], b: np.ndarray[Any, Any] | None = None, read: Any = None
) -> Network:
    """A network with affine f and g."""
    n = len(w)
    read = np.ones((1, n)) if read is None else read
    return Network(
        (Affine(np.concatenate([w, v], axis=1), np.zeros(n) if b is None else b),), (Affine(read, np.zeros(len(read))),)
    )


def block(value: float, size: int) -> np.ndarray[Any, Any]:
    return np.eye(size) * value + np.eye(size, k=1)


def direct_sum(*blocks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    whole = np.zeros((sum(map(len, blocks)),) * 2)
    at = 0
    for one in blocks:
        whole[at : at + len(one), at : at + len(one)] = one
        at += len(one)
    return whole


def rotation(seed: int, size: int) -> np.ndarray[Any, Any]:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


FORMS = [
    direct_sum(block(0, 3)),
    direct_sum(block(1, 2)),
    direct_sum(block(0, 2), block(1, 2)),
    direct_sum(block(0, 3), block(0, 1)),
    direct_sum(block(0, 2), block(0, 2)),
    direct_sum(block(0, 5), block(2, 1)),
    direct_sum(block(-1, 1), block(1, 3)),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_the_jordan_form_of_p_j_p_inverse_is_j(form: np.ndarray[Any, Any], noise: float) -> None:
    rng = np.random.default_rng(3)
    turn = rotation(4, len(form)) * rng.uniform(0.8, 1.25, len(form))
    matrix = turn @ form @ np.linalg.inv(turn) + noise * rng.normal(size=form.shape)
    found = chains(matrix, 0.7)
    # The reference is sympy's, exact, of the matrix the noise was added to.
    reference = sympy.Matrix(form.astype(int).tolist()).jordan_form(calc_transform=False)
    sizes = sorted((chain.eigenvalue.real, chain.vectors.shape[1]) for chain in found)
    expected = jordan_blocks(np.array(reference.tolist(), dtype=float))
    assert [length for _, length in sizes] == [
        length for _, length in sorted((float(reference[low, low]), high - low) for low, high in expected.spans)
    ]
    vectors = real_basis(found)
    reached = np.linalg.solve(vectors, matrix @ vectors)
    assert np.abs(reached - ideal(found)).max() < (1e-6 if not noise else 0.1)
    # The exact form itself; a block of 5 with noise 1e-5 has eigenvalues of size 1e-5 ** (1/5) = 0.1 instead of 0.
    if not noise:
        values = np.sort_complex(np.linalg.eigvals(ideal(found)))
        np.testing.assert_allclose(values, np.sort_complex(np.diag(form).astype(complex)), atol=1e-6)


def test_levels_that_are_coupled_weakly_are_a_chain_all_the_same() -> None:
    # Position and velocity, each scaled to unit size: the coupling is 0.4, below the threshold of 0.7.
    change = jordan(affine(np.array([[1.0, 0.4], [0.0, 1.0]]), np.ones((2, 1))))
    np.testing.assert_allclose(change.network.hidden_columns, block(1, 2), atol=1e-9)


def test_complex_pairs_become_real_blocks() -> None:
    turn = rotation(5, 4)
    pair = np.array([[1.0, 1.0], [-1.0, 1.0]])
    double = np.kron(np.eye(2), pair) + np.kron(np.eye(2, k=1), np.eye(2))
    found = chains(turn @ double @ turn.T, 0.7)
    assert [(round(c.eigenvalue.imag, 5), c.vectors.shape[1]) for c in found] == [(1.0, 2)]
    vectors = real_basis(found)
    np.testing.assert_allclose(np.linalg.solve(vectors, turn @ double @ turn.T @ vectors), double, atol=1e-6)


def test_what_has_no_groups_is_left_alone() -> None:
    network = affine(np.diag([0.0, 0.5, 1.0]), np.ones((3, 1)))
    change = jordan(network)
    assert not change.applied
    assert "do not fall into groups" in change.decided
    assert change.network is network
    with pytest.raises(NoFormError):
        chains(network.hidden_columns, 0.7)


def test_weights_beyond_ten_thousand_undo_the_step() -> None:
    basis = np.diag([1e6, 1.0])
    network = change_basis(affine(np.diag([0.0, 2.0]), np.ones((2, 1))), basis)
    large = affine(network.hidden_columns, network.input_columns, read=np.array([[1e9, 1.0]]))
    assert "undone" in jordan(large).decided


@pytest.mark.parametrize("inputs", [1, 2])
def test_an_input_column_becomes_one_hot_and_a_jordan_block_stays(inputs: int) -> None:
    rng = np.random.default_rng(6)
    w = direct_sum(block(0, 3), block(2, 2))
    network = affine(w, rng.normal(size=(5, inputs)))
    change = toeplitz(network)
    np.testing.assert_allclose(change.network.hidden_columns, w, atol=1e-10)
    v = change.network.input_columns
    assert min(np.abs(v[:3] - np.eye(3)[:, 2:]).max(axis=0)) < 1e-10
    assert min(np.abs(v[3:] - np.eye(2)[:, 1:]).max(axis=0)) < 1e-10


def test_an_empty_bottom_entry_moves_the_one_upwards() -> None:
    network = affine(block(0, 3), np.array([[3.0], [2.0], [0.0]]))
    change = toeplitz(network)
    np.testing.assert_allclose(change.network.input_columns, [[0.0], [1.0], [0.0]], atol=1e-12)
    np.testing.assert_allclose(change.network.hidden_columns, block(0, 3), atol=1e-12)


def test_a_matrix_that_is_not_jordan_is_left_alone() -> None:
    assert "not recognisably Jordan" in toeplitz(affine(np.array([[0.0, 0.0], [0.9, 0.0]]), np.ones((2, 1)))).decided


def test_the_bias_that_f_never_reads_moves_to_g() -> None:
    # A two-step delay: f reads h1 only, so h2's constant 5 belongs to the readout.
    network = affine(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0], [0.0]]), np.array([0.0, 5.0]), np.eye(2))
    change = debias(network)
    assert change.network.f[-1].bias.tolist() == [0.0, 0.0]
    assert change.network.g[0].bias.tolist() == [0.0, 5.0]
    x = np.arange(12.0).reshape(2, 6, 1)
    np.testing.assert_allclose(outputs(change.network, x), outputs(network, x))


def test_rounding_is_near_integers_only_and_is_undone_where_it_breaks_the_function() -> None:
    network = affine(np.array([[1.004]]), np.array([[0.5]]), read=np.array([[2.0]]))
    change = quantize(network)
    assert change.network.hidden_columns.tolist() == [[1.0]]
    assert change.network.input_columns.tolist() == [[0.5]]
    few = np.full((3, 4, 1), 3.0)
    assert not checked(network, network, change, few).undone
    many = np.full((1, 90, 1), 3.0)  # 1.004 ** 90 is far from 1
    after = checked(network, network, change, many)
    assert after.undone.startswith("undone: ")
    assert after.network is network
    assert measure(network, after.network, many).output_difference == 0.0


def test_every_step_tells_its_condition_number() -> None:
    network, _ = random_network((), ())
    change = Change("x", network, np.diag([1.0, 2.0, 4.0]), "", 0.0, "")
    assert change.condition == pytest.approx(4.0)
