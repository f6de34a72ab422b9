"""What makes a pose doubtful: rivals, halves that disagree, and a picture that holds it loosely."""

from __future__ import annotations

import numpy as np
import pytest

from registration.projection.align import Effort, Outcome, Stage
from registration.projection.cloud import specimen
from registration.projection.doubt import RIVAL, deviation_um, halves_um, needed, rivals_um
from registration.projection.fit import View
from registration.projection.picture import picture
from registration.projection.refine import Free, refine
from volumes import from_array
from volumes.errors import ContentError

BLOBS = (([14, 13, 15], 5, 1.0), ([9, 18, 10], 2, 1.5), ([18, 8, 19], 2, 1.2), ([16, 19, 20], 2, 0.9))


def bodies(blobs) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(28.0)] * 3, indexing="ij"), -1)
    return sum(h * np.exp(-((index - c) ** 2).sum(-1) / (2 * w**2)) for c, w, h in blobs).astype(np.float32)


def stage_of(image: np.ndarray, model: str = "sum", hats: int = 4) -> Stage:
    volume = from_array(bodies(BLOBS), (2.0, 2.0, 2.0), modality="CT")
    seen = from_array(image[None].astype(np.float32), (2.0, 2.0, 2.0), modality="SWIR")
    known = specimen(volume, None, 0, "fixed", 2.0, hats, model)
    return Stage(known, picture(seen, None, 0, "moving", flat=False), model, Effort(100, 4, 2.0, False, None, 0))


def pose_of(stage: Stage) -> Outcome:
    at = (stage.specimen.centre_um - stage.picture.grid.centre_um[0])[1:]
    scene = stage.scene(2.0)
    best = refine(scene, View(np.eye(3), at), stage.specimen.radius_um, Free(), 20)
    return Outcome(scene, best, (), best.evaluations)


@pytest.fixture(scope="module")
def right():
    grain = np.random.default_rng(0).normal(0, 0.15, (28, 28))
    return stage_of(bodies(BLOBS).sum(axis=0) + grain)


@pytest.fixture(scope="module")
def wrong():
    moved = [(c if i == 0 else [c[0], c[2], 27 - c[1]], w, h) for i, (c, w, h) in enumerate(BLOBS)]
    grain = np.random.default_rng(0).normal(0, 0.15, (28, 28))
    return stage_of(bodies(moved).sum(axis=0) + grain)


def test_halves_agree_on_the_specimen_and_not_on_another(right, wrong):
    agreed, torn = (halves_um(s, pose_of(s), Free()) / s.specimen.radius_um for s in (right, wrong))
    assert agreed < 0.1
    assert torn > agreed


def test_noise_loosens_a_pose(right):
    noisy = stage_of(bodies(BLOBS).sum(axis=0) + np.random.default_rng(0).normal(0, 1.5, (28, 28)))
    sharp, loose = (deviation_um(s, pose_of(s), Free()) for s in (right, noisy))
    assert 0 < sharp < loose
    assert sharp < 0.5


def test_the_deviation_is_about_the_error(right):
    """Over pictures that differ by their noise alone, poses scatter as much as is said."""
    clean = bodies(BLOBS).sum(axis=0)
    truth = pose_of(stage_of(clean)).best.view
    errors, said = [], []
    for seed in range(6):
        stage = stage_of(clean + np.random.default_rng(seed).normal(0, 0.5, clean.shape))
        outcome = pose_of(stage)
        points = stage.specimen.foreground_um
        off = (points @ (outcome.best.view.rotation - truth.rotation).T)[:, 1:] + outcome.best.view.shift_um
        errors.append(np.sqrt(((off - truth.shift_um) ** 2).sum(axis=1).mean()))
        said.append(deviation_um(stage, outcome, Free()))
    assert 1 / 4 < np.mean(said) / np.mean(errors) < 4


def test_only_what_is_nearly_as_good_is_a_rival(right):
    best = pose_of(right)
    turned = refine(best.scene, best.best.view.turned(np.array([0.0, 0.0, 1.5])), 10.0, Free(), 0)
    far = right.apart_um(turned.view, best.best.view)
    asked = needed(right, best)
    assert asked > RIVAL
    assert rivals_um(right, Outcome(best.scene, best.best, ((turned, asked / 2),), 0)) == pytest.approx(far)
    assert rivals_um(right, Outcome(best.scene, best.best, ((turned, asked * 2),), 0)) == 0.0


def test_distinct_keeps_the_better_of_two_alike(right):
    view = View(np.eye(3), np.zeros(2))
    near, far = view.turned(np.array([0.01, 0, 0])), view.turned(np.array([1.0, 0, 0]))
    kept = right.distinct([view, near, far], 0.15, 5, lambda v: v)
    assert kept == [view, far]
    assert right.distinct([view, near, far], 0.15, 1, lambda v: v) == [view]


def test_pixels_are_never_finer_than_asked(right):
    assert right.scene(2.0).screen.pixel_um.min() >= 2.0
    assert 0 <= right.chance() < 0.5


def test_features_vanish_in_the_background_and_make_any_function(right):
    values = bodies(BLOBS)
    features = right.specimen.features
    assert np.abs(features[:, values < 1e-3]).max() < 0.02
    rows = features.reshape(len(features), -1).T.astype(np.float64)
    for tone in (values, np.sqrt(values), np.exp(-values) - 1):
        wanted = tone.ravel().astype(np.float64)
        weights = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        assert np.square(rows @ weights - wanted).sum() < 0.1 * np.square(wanted).sum()


def test_a_volume_of_one_voxel_against_nothing_is_refused():
    voxels = np.zeros((12, 12, 12), np.float32)
    voxels[6, 6, 6] = 1
    with pytest.raises(ContentError, match="differ from the background"):
        specimen(from_array(voxels, (1.0, 1.0, 1.0), modality="CT"), None, 0, "fixed", 1.0, 4, "sum")
