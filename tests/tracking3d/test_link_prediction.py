"""Motion models against closed forms: Gaussian processes, Bayes' rule, trackpy's predictor, and each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import tracking3d
from tracking3d.detections import Detections
from tracking3d.link.kalman import KalmanConfig, log_radial, within
from tracking3d.link.prediction import (
    ConstantVelocity,
    InteractingModels,
    LocalFlow,
    NearestVelocity,
    Noise,
    ParticleFilter,
    Still,
    expected_next,
)
from tracking3d.link.prediction.constant_velocity import Gaussian, moved, transition, white_acceleration
from tracking3d.link.prediction.model import mahalanobis, taken
from tracking3d.link.prediction.noise import learnt_noise
from tracking3d.link.prediction.particles import effective_size, systematic
from tracking3d.link.scene import scene
from tracking3d.tracks import Tracks

NOISE = Noise(step_um2=4.0, turn_um2=3.0, flow_um2=2.0, localisation_um2=0.25, acceleration_um2_s3=0.002, frame_s=10.0)


def path(rng: np.random.Generator, n: int = 3, frames: int = 6) -> np.ndarray:
    """(frames, n, 3) measured places of cells that drift."""
    return np.cumsum(rng.normal(1.0, 1.5, (frames, n, 3)), axis=0)


def filtered(config, zyx: np.ndarray, noise: Noise = NOISE, ahead_s: float = 10.0, seed: int = 0):
    """State, prediction and the model itself after the frames of a path."""
    model = config.build(noise, seed)
    state = model.started(zyx[0])
    for place in zyx[1:]:
        state, _ = model.predicted(state, np.full(len(place), noise.frame_s))
        state = model.seen(state, place)
    ahead, expected = model.predicted(state, np.full(zyx.shape[1], ahead_s))
    return ahead, expected, model


def test_the_kalman_filter_is_the_regression_of_a_gaussian_process(rng: np.random.Generator) -> None:
    """x(t) = x₀ + v₀ t + ∫∫ white noise has the covariance R + σ_v² s t + q (min³/3 + |t − s| min²/2): no recursion."""
    zyx = path(rng)
    r, q, speed = NOISE.localisation_um2, NOISE.acceleration_um2_s3, NOISE.step_um2 / NOISE.frame_s**2
    times = NOISE.frame_s * np.arange(len(zyx))
    ahead = times[-1] + 25.0

    def kernel(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        low = np.minimum(s[:, None], t)
        return r + speed * s[:, None] * t + q * (low**3 / 3 + np.abs(s[:, None] - t) * low**2 / 2)

    seen, new = times[1:], np.array([ahead])
    weight = np.linalg.solve(kernel(seen, seen) + r * np.eye(len(seen)), kernel(seen, new)).T
    variance = kernel(new, new) - weight @ kernel(seen, new) + r
    _, expected, _ = filtered(ConstantVelocity(), zyx, ahead_s=25.0)
    for cell in range(zyx.shape[1]):
        mean = zyx[0, cell] + weight @ (zyx[1:, cell] - zyx[0, cell])
        assert np.allclose(expected.zyx_um[cell], mean[0], rtol=0, atol=1e-9)
        assert np.allclose(expected.covariance_um2[cell], variance[0, 0] * np.eye(3), rtol=1e-9, atol=1e-12)


def test_two_predictions_are_one_twice_as_far(rng: np.random.Generator) -> None:
    square = rng.normal(size=(4, 6, 6))
    state = Gaussian(rng.normal(size=(4, 6)), square @ square.swapaxes(1, 2))
    seconds, density = rng.uniform(1, 9, (2, 4)), rng.uniform(0.1, 2, 4)
    twice = moved(moved(state, seconds[0], density), seconds[1], density)
    once = moved(state, seconds.sum(axis=0), density)
    assert np.allclose(twice.mean, once.mean)
    assert np.allclose(twice.covariance, once.covariance)


def test_process_noise_is_the_integral_of_the_accelerations() -> None:
    """Q = ∫ F(t − s) G q Gᵀ F(t − s)ᵀ ds, by quadrature."""
    t, q = 3.7, 0.4
    push = np.vstack([np.zeros((3, 3)), np.eye(3)])
    entry = np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            entry[i, j] = integrate.quad(
                lambda s, i=i, j=j: (
                    q * (transition(np.array(t - s)) @ push @ push.T @ transition(np.array(t - s)).T)[i, j]
                ),
                0,
                t,
            )[0]
    assert np.allclose(white_acceleration(np.array(t), np.array(q)), entry)


def test_of_one_model_interacting_models_are_the_kalman_filter(rng: np.random.Generator) -> None:
    zyx = path(rng)
    _, alone, _ = filtered(ConstantVelocity(), zyx)
    for config in (InteractingModels(agility=(1.0,)), InteractingModels(agility=(1.0, 1.0, 1.0), stay=0.7)):
        state, expected, _ = filtered(config, zyx)
        assert np.allclose(expected.zyx_um, alone.zyx_um)
        assert np.allclose(expected.covariance_um2, alone.covariance_um2)
        assert np.allclose(state.probability, 1 / len(config.agility))


def test_models_that_never_change_are_weighed_by_bayes_rule(rng: np.random.Generator) -> None:
    """With stay = 1 each model filters alone, and its probability is the product of how likely each place was to it."""
    zyx, agility = path(rng), (0.2, 6.0)
    state, expected, _ = filtered(InteractingModels(agility=agility, stay=1.0), zyx)
    evidence, means = np.zeros((zyx.shape[1], 2)), []
    for j, factor in enumerate(agility):
        model = ConstantVelocity(acceleration_um2_s3=factor * NOISE.acceleration_um2_s3).build(NOISE, 0)
        alone = model.started(zyx[0])
        for place in zyx[1:]:
            alone, foreseen = model.predicted(alone, np.full(len(place), NOISE.frame_s))
            for cell in range(len(place)):
                density = stats.multivariate_normal(foreseen.zyx_um[cell], foreseen.covariance_um2[cell])
                evidence[cell, j] += density.logpdf(place[cell])
            alone = model.seen(alone, place)
        means.append(model.predicted(alone, np.full(zyx.shape[1], NOISE.frame_s))[1].zyx_um)
    weight = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    assert np.allclose(state.probability, weight)
    assert np.allclose(expected.zyx_um, weight[:, :1] * means[0] + weight[:, 1:] * means[1])


def test_a_cell_that_turns_is_taken_for_an_agile_one() -> None:
    straight = np.zeros((8, 1, 3)) + 3 * np.arange(8)[:, None, None]
    turned = straight.copy()
    turned[4:] = straight[3] - 3 * np.arange(1, 5)[:, None, None] * np.array([1.0, -1.0, 1.0])
    config = InteractingModels(agility=(0.1, 10.0))
    calm, agile, again = (filtered(config, zyx)[0].probability[0, 1] for zyx in (straight, turned[:5], turned))
    assert calm < 0.2
    assert agile > 0.8
    assert again < 0.2


@pytest.mark.parametrize("stay", [0.0, 0.3, 0.9, 1.0])
def test_changes_over_two_frames_are_those_of_one_twice(stay: float) -> None:
    model = InteractingModels(agility=(0.2, 1.0, 5.0), stay=stay).build(NOISE, 0)
    one, two = model._changes(np.array([10.0, 20.0]))
    assert np.allclose(one.sum(axis=1), 1)
    assert np.allclose(np.diag(one), stay)
    assert np.allclose(two, one @ one)


def test_with_gaussian_steps_particles_come_to_the_kalman_filter(rng: np.random.Generator) -> None:
    zyx = path(rng, n=4)
    _, exact, _ = filtered(ConstantVelocity(), zyx)
    config = ParticleFilter(particles=20_000, freedom=None, resample_below=0.5)
    state, expected, _ = filtered(config, zyx)
    sigma = np.sqrt(np.diagonal(exact.covariance_um2, axis1=1, axis2=2))
    # The error of a mean of independent draws, four times over, where resampling has made them depend a little.
    error = 4 * sigma / np.sqrt(state.effective[:, None])
    assert (np.abs(expected.zyx_um - exact.zyx_um) < error).all()
    assert np.abs(expected.covariance_um2 / exact.covariance_um2[:, :1, :1] - np.eye(3)).max() < 0.1
    assert np.abs(expected.zyx_um - exact.zyx_um).max() > 1e-6


@pytest.mark.parametrize("jump", [1.0, 20.0])
def test_heavy_tails_are_weighed_as_by_quadrature(jump: float) -> None:
    """Seen twice: given the agility λ all is Gaussian, and over λ = (ν − 2)/χ²_ν the integral is done by quadrature."""
    nu, dt, r, q = 4.0, NOISE.frame_s, NOISE.localisation_um2, NOISE.acceleration_um2_s3
    speed, place = NOISE.step_um2 / dt**2, jump * np.array([1.0, -1.0, 0.5])

    def weighed(gain: bool, chi2: float) -> float:
        agility = (nu - 2) / chi2
        own = r + speed * dt**2 + q * agility * dt**3 / 3
        likely = np.exp(-(place**2).sum() / (2 * (own + r))) * (own + r) ** -1.5 * stats.chi2.pdf(chi2, nu)
        along = own + dt * (speed * dt + q * agility * dt**2 / 2)
        return likely * (along / (own + r) if gain else 1.0)

    total, gained = (
        integrate.quad(lambda c, g=g: weighed(g, c), 0, 60, limit=200, points=[0.01, 0.1, 1])[0] for g in (0, 1)
    )
    zyx = np.stack([np.zeros((1, 3)), place[None]])
    state, expected, _ = filtered(ParticleFilter(particles=40_000, freedom=nu, resample_below=0.0), zyx)
    spread = np.sqrt(expected.covariance_um2[0].diagonal() / state.effective[0])
    assert (np.abs(expected.zyx_um[0] - gained / total * place) < 4 * spread).all()


def test_effective_size_of_known_weights() -> None:
    weights = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.7, 0.1, 0.1, 0.1]])
    assert np.allclose(effective_size(weights), [4, 1, 2, 1 / 0.52])


def test_systematic_resampling_takes_each_as_often_as_it_weighs(rng: np.random.Generator) -> None:
    for _ in range(50):
        k = int(rng.integers(1, 40))
        weight = rng.dirichlet(np.full(k, 0.3))
        drawn = np.bincount(systematic(weight, float(rng.random())), minlength=k)
        assert drawn.sum() == k
        assert (drawn >= np.floor(k * weight - 1e-9)).all()
        assert (drawn <= np.ceil(k * weight + 1e-9)).all()


def test_guesses_are_drawn_again_only_below_the_share(rng: np.random.Generator) -> None:
    zyx = path(rng)
    for share, even in ((0.0, False), (1.0, True)):
        state, _, _ = filtered(ParticleFilter(particles=100, resample_below=share), zyx)
        assert (np.ptp(state.weight, axis=1) < 1e-12).all() == even
        assert ((state.effective >= 1) & (state.effective < 100)).all()


def test_particles_are_the_same_from_the_same_seed(rng: np.random.Generator) -> None:
    zyx = path(rng)
    first, again, other = (filtered(ParticleFilter(particles=50), zyx, seed=seed)[1].zyx_um for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.filterwarnings("ignore::Warning:trackpy")
def test_the_nearest_velocity_is_trackpys(rng: np.random.Generator) -> None:
    import pandas as pd
    from trackpy.predict import NearestVelocityPredict

    class Seen:
        def __init__(self, pos: np.ndarray, t: int) -> None:
            self.pos, self.t = pos, t

    before, here = rng.uniform(0, 20, (2, 6, 3))
    theirs = NearestVelocityPredict(pos_columns=["z", "y", "x"])
    theirs.t_column = "frame"
    for frame, zyx in enumerate((before, here)):
        theirs.observe(pd.DataFrame(zyx, columns=["z", "y", "x"]).assign(frame=frame, particle=np.arange(6)))
    new = rng.uniform(0, 20, (4, 3))
    model = NearestVelocity().build(NOISE, 0)
    state, _ = model.predicted(model.started(before), np.full(6, NOISE.frame_s))
    both = tuple(np.concatenate(parts) for parts in zip(model.seen(state, here), model.started(new), strict=True))
    _, expected = model.predicted(type(state)(*both), np.full(10, 2 * NOISE.frame_s))
    assert np.allclose(expected.zyx_um, theirs.predict(3, [Seen(p, 1) for p in np.concatenate([here, new])]))


def test_the_flow_is_that_of_most_neighbours(rng: np.random.Generator) -> None:
    """All drift alike but one, and one is new: both are expected to go with the others."""
    before = rng.uniform(0, 10, (8, 3))
    here = before + np.array([1.0, -2.0, 0.5])
    here[3] = before[3] + np.array([-9.0, 9.0, 9.0])
    model = LocalFlow(neighbours=8).build(NOISE, 0)
    state, _ = model.predicted(model.started(before), np.full(8, NOISE.frame_s))
    new = model.started(np.array([[5.0, 5.0, 5.0]]))
    both = tuple(np.concatenate(parts) for parts in zip(model.seen(state, here), new, strict=True))
    _, expected = model.predicted(type(state)(*both), np.full(9, NOISE.frame_s))
    gone = expected.zyx_um - np.concatenate([here, new.zyx_um])
    assert np.abs(gone - [1.0, -2.0, 0.5]).max() < 0.1


def test_what_stays_is_expected_where_it_was() -> None:
    model = Still().build(NOISE, 0)
    _, expected = model.predicted(model.started(np.array([[1.0, 2.0, 3.0]])), np.array([30.0]))
    assert expected.zyx_um.tolist() == [[1.0, 2.0, 3.0]]
    assert np.allclose(expected.covariance_um2[0], 3 * NOISE.step_um2 * np.eye(3))


def simulated(rng: np.random.Generator, q: float, r: float, dt: float, cells: int = 400, frames: int = 12) -> Tracks:
    """Cells far apart that white noise accelerates, located with an error; their true tracks."""
    noise = white_acceleration(np.array(dt), np.array(q))
    state = np.concatenate([rng.uniform(0, 1e6, (cells, 3)), rng.normal(0, 0.3, (cells, 3))], axis=1)
    places = []
    for _ in range(frames):
        places.append(state[:, :3] + rng.normal(0, np.sqrt(r), (cells, 3)))
        state = state @ transition(np.array(dt)).T + rng.multivariate_normal(np.zeros(6), noise, cells)
    t = np.repeat(np.arange(frames), cells)
    parent = np.where(t > 0, np.arange(cells * frames) - cells, -1)
    return Tracks(Detections.of(t, np.concatenate(places), dt_s=dt), parent)


@pytest.mark.parametrize(("q", "r"), [(0.02, 0.3), (0.2, 0.1), (0.001, 1.0)])
def test_noise_is_learnt_from_tracks(q: float, r: float, rng: np.random.Generator) -> None:
    tracks = simulated(rng, q, r, dt=2.0)
    cells = scene(tracks.detections)
    place = np.argsort(cells.order)
    parent = np.where(tracks.parent >= 0, place[tracks.parent], -1)[cells.order]
    noise = learnt_noise(cells, parent, 2.0)
    assert noise.localisation_um2 == pytest.approx(r, rel=0.15)
    assert noise.turn_um2 == pytest.approx(2 / 3 * q * 8 + 6 * r, rel=0.1)
    if q * 8 > r:
        assert noise.acceleration_um2_s3 == pytest.approx(q, rel=0.2)
    else:
        assert noise.acceleration_um2_s3 * 8 < 0.3 * noise.turn_um2


def test_the_next_frame_of_tracks_is_foretold(rng: np.random.Generator) -> None:
    """Nine in ten of the cells are seen within the 90 % gate of where their first frames let them be expected."""
    tracks = simulated(rng, 0.02, 0.3, dt=2.0)
    cells = tracks.detections
    so_far = Tracks(cells.take(cells.t < 11), tracks.parent[cells.t < 11])
    ends, expected = expected_next(so_far, ConstantVelocity())
    assert np.array_equal(np.sort(ends), so_far.detections.rows_at(10))
    squared, _ = mahalanobis(cells.zyx_um[ends + 400] - expected.zyx_um, expected.covariance_um2)
    assert np.mean(squared <= within(0.9, None)) == pytest.approx(0.9, abs=0.05)
    for motion, worse in ((Still(), 1.5), (NearestVelocity(), 1.1)):
        other, stated = expected_next(so_far, motion)
        error = [
            np.linalg.norm(cells.zyx_um[rows + 400] - found.zyx_um, axis=1).mean()
            for rows, found in ((ends, expected), (other, stated))
        ]
        assert error[1] > worse * error[0]


def test_a_daughter_begins_anew() -> None:
    """A mother goes 2 µm a frame and divides; of three tracks only the other cell's goes on as it came."""
    x = np.array([0.0, 2.0, 5.0, 3.0, 40.0, 42.0, 44.0])
    zyx = np.column_stack([np.zeros((7, 2)), x])
    tracks = Tracks(Detections.of([0, 1, 2, 2, 0, 1, 2], zyx), np.array([-1, 0, 1, 1, -1, 4, 5]))
    ends, expected = expected_next(tracks, Still(), noise=NOISE)
    assert np.array_equal(np.sort(ends), [2, 3, 6])
    ends, expected = expected_next(tracks, ConstantVelocity(acceleration_um2_s3=1e-9), noise=NOISE.located(0.01))
    gone = dict(zip(ends.tolist(), expected.zyx_um[:, 2] - x[ends], strict=True))
    assert gone[6] == pytest.approx(2.0, abs=0.01)
    assert gone[2] == gone[3] == 0.0


@pytest.mark.parametrize("freedom", [1.0, 2.0, 4.0, 30.0, None])
def test_the_density_about_a_place_is_one(freedom: float | None) -> None:
    """∫ 4π r² p(r) dr within the gate is the probability that the gate is named by."""
    for probability in (0.5, 0.9):
        reach = np.sqrt(within(probability, freedom))
        total, _ = integrate.quad(lambda r: 4 * np.pi * r**2 * np.exp(log_radial(np.array(r**2), freedom)), 0, reach)
        assert total == pytest.approx(probability, rel=1e-6)


def test_without_seconds_a_frame_is_the_unit_of_time(rng: np.random.Generator) -> None:
    tracks = simulated(rng, 0.02, 0.3, dt=2.0, cells=40)
    cells = tracks.detections
    timeless = Detections.of(cells.t, cells.zyx_um)
    for motion in (ConstantVelocity(), InteractingModels(), NearestVelocity()):
        linked = [tracking3d.link(part, KalmanConfig(motion=motion)).parent for part in (cells, timeless)]
        assert np.array_equal(*linked)


def test_a_stated_localisation_and_acceleration_are_taken(rng: np.random.Generator) -> None:
    """Told that places are exact and steps straight, the filter lets jittering cells go."""
    cells = simulated(rng, 0.02, 0.3, dt=2.0, cells=30).detections
    sure = ConstantVelocity(acceleration_um2_s3=1e-9)
    links = {
        located: len(tracking3d.link(cells, KalmanConfig(motion=sure, localisation_um=located, freedom=None)).edges)
        for located in (1e-4, 2.0)
    }
    assert links[1e-4] < 0.6 * links[2.0]


def test_how_many_guesses_count_is_told(rng: np.random.Generator, caplog: pytest.LogCaptureFixture) -> None:
    tracks = simulated(rng, 0.02, 0.3, dt=2.0, cells=20, frames=4)
    linker = KalmanConfig(motion=ParticleFilter(particles=40)).build()
    course = linker.course(scene(tracks.detections), 2.0)
    assert ((course.effective >= 1) & (course.effective <= 40)).all()
    with caplog.at_level("INFO", logger="tracking3d"):
        linker.link(tracks.detections)
    assert f"effective particles: {np.median(course.effective):.0f}" in caplog.text
    plain = KalmanConfig().build().course(scene(tracks.detections), 2.0)
    assert np.isnan(plain.effective).all()
    found = plain.parent >= 0
    assert np.isfinite(plain.expected_um[found]).all()
    assert np.isnan(plain.expected_um[~found]).all()


def test_rows_of_a_state_can_be_taken(rng: np.random.Generator) -> None:
    zyx = path(rng, n=5)
    rows = np.array([4, 1])
    for config in (ConstantVelocity(), InteractingModels(), NearestVelocity()):
        whole, _, model = filtered(config, zyx)
        part = model.seen(taken(whole, rows), zyx[0, rows])
        for ours, theirs in zip(part, taken(model.seen(whole, zyx[0]), rows), strict=True):
            assert np.allclose(ours, theirs)
