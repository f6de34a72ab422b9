"""Each step of the EM against integration, dense algebra and a general minimiser; and J never rises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import fft
from scipy.integrate import quad
from scipy.optimize import minimize
from torch import Tensor

from fusion.diffusion.hierarchical import (
    SMALLEST,
    Evidence,
    State,
    _cosines,
    expected_precisions,
    objective,
    rectified,
    started,
    steepest,
)

SPACING = (3.0, 1.0, 1.5)


def problem(rng: np.random.Generator, shape=(2, 4, 5), number: int = 2, **settings: float) -> tuple[Evidence, Tensor]:
    values = {"deviation": 0.1, "gradient": 40.0, "coupling": 60.0} | settings
    sources = torch.as_tensor(rng.uniform(-1, 1, (1, number, *shape)))
    return Evidence(sources, spacing=SPACING, **values), torch.as_tensor(rng.uniform(-1, 1, (1, 1, *shape)))


@pytest.mark.parametrize("deviation", [0.05, 0.3])
@pytest.mark.parametrize("off", [0.02, 0.1, 0.8])
def test_the_e_step_is_the_integral_over_the_latent_variance(deviation: float, off: float) -> None:
    """v ~ Exp(mean 2b²), s | f, v ~ N(f, v): the posterior mean of 1/v, and the Laplace marginal, by quadrature."""

    def weigh(power: float) -> float:
        def density(log_v: float) -> float:
            v = np.exp(log_v)
            return v ** (power - 0.5) * np.exp(-(off**2) / (2 * v) - v / (2 * deviation**2)) * v

        return quad(density, -20, 5, limit=400, epsabs=0)[0]

    given = Evidence(torch.tensor([off], dtype=torch.float64).view(1, 1, 1, 1, 1), deviation, 0.0, 1.0)
    found = expected_precisions(torch.zeros(1, 1, 1, 1, 1, dtype=torch.float64), given).item()
    assert found == pytest.approx(weigh(-1) / weigh(0), rel=5e-3)
    marginal = weigh(0) / np.sqrt(2 * np.pi) / (2 * deviation**2)
    assert marginal == pytest.approx(np.exp(-off / deviation) / (2 * deviation), rel=1e-6)


def differences(shape: tuple[int, ...]) -> list[np.ndarray]:
    """The forward difference along each axis as a dense matrix."""
    index = np.arange(np.prod(shape)).reshape(shape)
    out = []
    for axis, length in enumerate(SPACING):
        matrix = np.zeros((index.size, index.size))
        for at in np.ndindex(shape):
            after = list(at)
            after[axis] += 1
            if after[axis] < shape[axis]:
                matrix[index[at], index[tuple(after)]] = 1 / length
                matrix[index[at], index[at]] = -1 / length
        out.append(matrix)
    return out


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 5), (2, 1, 7)])
def test_the_smooth_part_solves_the_dense_normal_equations(rng: np.random.Generator, shape) -> None:
    evidence, clean = problem(rng, shape)
    target = steepest(evidence)
    matrices = differences(shape)
    left = evidence.coupling * np.eye(np.prod(shape)) + evidence.gradient * sum(m.T @ m for m in matrices)
    right = evidence.coupling * clean.numpy().ravel() + evidence.gradient * sum(
        m.T @ g.numpy().ravel() for m, g in zip(matrices, target.gradients, strict=True)
    )
    expected = np.linalg.solve(left, right).reshape(shape)
    assert np.abs(started(clean, evidence, target).smooth[0, 0].numpy() - expected).max() < 1e-10


@pytest.mark.parametrize("shape", [(1, 7, 16), (2, 1, 5), (3, 4, 2)])
def test_the_transform_is_scipys(rng: np.random.Generator, shape) -> None:
    x = rng.normal(size=(1, 2, *shape))
    there = _cosines(torch.as_tensor(x))
    assert np.abs(there.numpy() - fft.dctn(x, axes=(2, 3, 4), norm="ortho")).max() < 1e-12
    torch.testing.assert_close(_cosines(there, inverse=True), torch.as_tensor(x))


def test_the_target_is_the_gradient_of_the_steepest_source(rng: np.random.Generator) -> None:
    evidence, _ = problem(rng, (3, 4, 5), number=3)
    sources = evidence.sources[0].numpy()
    each = np.stack(
        [np.stack([np.diff(s, axis=a, append=s.take([-1], a)) / SPACING[a] for a in range(3)]) for s in sources]
    )
    winner = (each**2).sum(1).argmax(0)
    expected = np.take_along_axis(each, winner[None, None], 0)[0]
    assert np.abs(torch.cat(steepest(evidence).gradients, 1)[0].numpy() - expected).max() < 1e-12


def test_the_objective_is_the_formula(rng: np.random.Generator) -> None:
    evidence, clean = problem(rng, number=3)
    fused, smooth = (torch.as_tensor(rng.normal(size=clean.shape)) for _ in range(2))
    target = steepest(evidence)
    f, u, c, s = (t.numpy().ravel() for t in (fused, smooth, clean, evidence.sources))
    steep = sum(
        np.sum((m @ u - g.numpy().ravel()) ** 2) for m, g in zip(differences((2, 4, 5)), target.gradients, strict=True)
    )
    data = np.sqrt((np.tile(f, 3) - s) ** 2 + SMALLEST**2).sum() / 0.1
    expected = data + ((f - c) ** 2).sum() / (2 * 0.2) + 60 * ((f - u) ** 2).sum() / 2 + 40 * steep / 2
    assert objective(State(fused, smooth), clean, 0.2, evidence, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("gradient", [0.0, 40.0])
def test_no_step_raises_the_objective(rng: np.random.Generator, number: int, sweeps: int, gradient: float) -> None:
    evidence, clean = problem(rng, (3, 6, 7), number, gradient=gradient)
    target = steepest(evidence)
    states = [started(clean, evidence, target)] + [
        rectified(clean, 0.1, evidence, target, steps, sweeps) for steps in range(1, 12)
    ]
    values = [objective(state, clean, 0.1, evidence, target).item() for state in states]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(values))
    assert values[1] < 0.9 * values[0]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("variance", [0.002, 0.25])
def test_em_ends_where_a_general_minimiser_does(rng: np.random.Generator, number: int, variance: float) -> None:
    evidence, clean = problem(rng, (1, 4, 4), number)
    target = steepest(evidence)

    def value_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        both = torch.tensor(flat.reshape(2, 1, 1, 1, 4, 4), requires_grad=True)
        value = objective(State(both[0], both[1]), clean, variance, evidence, target)
        value.backward()
        return value.item(), both.grad.numpy().ravel()

    began = torch.cat([clean, clean]).numpy().ravel()
    truth = minimize(value_and_slope, began, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "ftol": 1e-15})
    state = rectified(clean, variance, evidence, target, steps=3000)
    reached = objective(state, clean, variance, evidence, target).item()
    assert reached == pytest.approx(truth.fun, rel=1e-4)
    assert np.abs(state.fused.numpy().ravel() - truth.x[:16]).max() < 0.02


def test_equal_sources_are_kept_and_a_doubtful_prior_gives_way(rng: np.random.Generator) -> None:
    evidence, clean = problem(rng, (3, 6, 7), gradient=100.0)
    one = evidence.sources[:, :1]
    same = Evidence(one.expand(-1, 2, -1, -1, -1), 0.1, 100.0, 100.0, SPACING)
    fused = rectified(clean, 10.0, same, steepest(same), steps=50).fused
    assert (fused - one).abs().max() < 0.02


def test_a_sure_prior_is_left_as_it_is(rng: np.random.Generator) -> None:
    evidence, clean = problem(rng)
    fused = rectified(clean, 1e-8, evidence, steepest(evidence), steps=5).fused
    assert (fused - clean).abs().max() < 1e-3


def test_between_two_sources_the_gradient_decides(rng: np.random.Generator) -> None:
    """One shows an edge, the other is flat; the edge is kept at its full height, where the mean would halve it."""
    edge = torch.zeros(1, 1, 1, 8, 16, dtype=torch.float64)
    edge[..., 8:] = 0.6
    flat = torch.full_like(edge, 0.3)
    evidence = Evidence(torch.cat([edge, flat], 1), 0.1, 400.0, 400.0)
    mean = (edge + flat) / 2
    fused = rectified(mean, 1.0, evidence, steepest(evidence), steps=300).fused
    step = (fused[..., 8] - fused[..., 7]).mean().item()
    assert (mean[..., 8] - mean[..., 7]).mean().item() == pytest.approx(0.3)
    assert step > 0.55


def test_the_order_of_sources_leaves_no_trace(rng: np.random.Generator) -> None:
    evidence, clean = problem(rng, (3, 6, 7), 3)
    first = rectified(clean, 0.1, evidence, steepest(evidence), 3).fused
    for order in ([1, 0, 2], [2, 1, 0], [1, 2, 0]):
        other = Evidence(evidence.sources[:, order], 0.1, 40.0, 60.0, SPACING)
        assert torch.equal(rectified(clean, 0.1, other, steepest(other), 3).fused, first)
