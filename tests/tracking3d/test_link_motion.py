"""Motion learnt from links, and the densities that links are weighed by, against closed forms and sampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_t

from tracking3d.detections import Detections
from tracking3d.link.motion import FREEDOM, learnt, log_student, neighbours_median, student_scale, velocities
from tracking3d.link.scene import Scene, scene


def _median_of(points: np.ndarray) -> np.ndarray:
    """The geometric median of up to six points through the linker's own neighbour table."""
    near = np.full((len(points) + 1, 6), -1)
    near[-1, : len(points)] = np.arange(len(points))
    return neighbours_median(near, np.vstack([points, np.full(3, np.nan)]))[-1]


def test_the_neighbours_median_has_nearly_the_least_summed_distance(rng):
    for _ in range(20):
        points = rng.normal(0, 1, (6, 3))
        points[0] *= 50

        def summed(centre, points=points):
            return np.linalg.norm(points - centre, axis=1).sum()

        best = minimize(
            summed, np.median(points, axis=0), method="Nelder-Mead", options={"xatol": 1e-6, "maxiter": 5000}
        )
        assert summed(_median_of(points)) <= 1.05 * best.fun


def test_one_wild_neighbour_hardly_moves_the_median():
    calm = np.array([(1.0, 0, 0)] * 5)
    assert _median_of(np.vstack([calm, [(500.0, 500, 500)]])) == pytest.approx([1.0, 0, 0], abs=1.0)


def test_the_neighbours_median_turns_with_the_axes(rng):
    points, turn = rng.normal(0, 3, (6, 3)), Rotation.random(rng=rng).as_matrix()
    assert _median_of(points @ turn.T) == pytest.approx(turn @ _median_of(points), abs=1e-9)


def test_neighbours_that_were_not_linked_do_not_speak():
    near = np.array([[1, 2, -1], [0, 2, -1], [-1, -1, -1]])
    moved = np.array([[np.nan] * 3, [1.0, 2, 3], [np.nan] * 3])
    out = neighbours_median(near, moved)
    assert out[0] == pytest.approx([1, 2, 3])
    assert np.isnan(out[1:]).all()


@pytest.mark.parametrize("scale", [0.02, 1.0, 300.0])
def test_the_density_is_scipys_student_t(rng, scale: float):
    points = rng.normal(0, 3 * scale, (50, 3))
    expected = multivariate_t(np.zeros(3), scale**2 * np.eye(3), df=FREEDOM).logpdf(points)
    assert [log_student(squared, scale) for squared in (points**2).sum(axis=1)] == pytest.approx(expected)


def test_the_density_integrates_to_one():
    def shell(radius: float) -> float:
        return 4 * np.pi * radius**2 * float(np.exp(log_student(radius**2, 0.7)))

    assert quad(shell, 0, np.inf)[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_the_scale_of_sampled_residuals_is_recovered(rng, scale: float):
    residual = multivariate_t(np.zeros(3), scale**2 * np.eye(3), df=FREEDOM).rvs(4000, random_state=rng)
    assert student_scale(residual, assumed=3 * scale) == pytest.approx(scale, rel=0.05)


def test_without_residuals_the_scale_is_the_assumed_one():
    assert student_scale(np.zeros((0, 3)), 2.5) == pytest.approx(2.5)
    assert 0 < student_scale(np.zeros((50, 3)), 2.5) < 1.0


def _flowing(rng, noise: float, frames: int = 6, n: int = 60) -> tuple[Scene, np.ndarray, np.ndarray]:
    """Cells that turn about the x axis with the true parents in the scene's order, and their true next step."""
    place = rng.uniform(-40, 40, (n, 3))
    turn = Rotation.from_rotvec([0, 0, 0.08]).as_matrix()
    zyx, t = [], []
    for frame in range(frames):
        zyx.append(place + rng.normal(0, noise, place.shape))
        t.append(np.full(n, frame))
        place = place @ turn.T
    seen = scene(Detections.of(np.concatenate(t), np.concatenate(zyx)))
    where = np.argsort(seen.order)
    parent = np.where(seen.order >= n, where[seen.order - n], -1)
    return seen, parent, seen.zyx @ turn.T - seen.zyx


def test_a_turning_flow_is_foreseen_for_cells_that_were_never_linked(rng):
    seen, parent, true = _flowing(rng, noise=0.01)
    hidden = rng.random(len(seen)) < 0.1
    seen_parent = np.where(hidden | hidden[parent], -1, parent)
    motion = learnt(seen, seen_parent, 3)
    lost = np.flatnonzero(hidden & (seen.t < seen.t.max()))
    assert np.median(np.linalg.norm(motion.ahead[lost] - true[lost], axis=1)) < 0.35 * np.median(
        np.linalg.norm(true, axis=1)
    )


def test_expectations_ahead_and_behind_agree_on_the_true_links(rng):
    seen, parent, _ = _flowing(rng, noise=0.05)
    motion = learnt(seen, parent, 3)
    child = np.flatnonzero(parent >= 0)
    left = seen.zyx[child] - seen.zyx[parent[child]] - motion.between(parent[child], child)
    moved = seen.zyx[child] - seen.zyx[parent[child]]
    assert np.median(np.linalg.norm(left, axis=1)) < 0.25 * np.median(np.linalg.norm(moved, axis=1))


def test_scales_grow_with_the_number_of_frames(rng):
    seen, parent, _ = _flowing(rng, noise=0.5)
    scale = learnt(seen, parent, 3).scale
    assert scale.shape == (3,)
    assert 0 < scale[0] <= scale[1] <= scale[2]


def test_velocities_are_per_frame_and_only_where_linked():
    seen = scene(Detections.of([0, 2, 2], np.array([(0, 0, 0), (0, 0, 4), (9, 9, 9.0)])))
    after, before = velocities(seen, np.array([-1, 0, -1]))
    assert after[0].tolist() == before[1].tolist() == [0, 0, 2]
    assert np.isnan(after[1:]).all()
    assert np.isnan(before[[0, 2]]).all()
