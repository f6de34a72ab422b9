"""Landmarks from files as a registration: theirs is the transform, the volumes check it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import pytest

from registration.landmarks.files import Landmarks, write_landmarks
from registration.landmarks.registrar import LandmarksConfig
from registration.quality import Status
from volumes import Affine
from volumes.errors import ConfigError, TransformError

TRUTH = Affine.rigid((0.2, -0.1, 0.15), (5.0, -4.0, 7.0))
PINS = np.random.default_rng(5).uniform(-40, 40, (9, 3))
NAMES = tuple(f"pin {i}" for i in range(len(PINS)))


@pytest.fixture
def pair(specimen):
    return specimen.seen(), specimen.seen(transform=TRUTH, tone=lambda v: 1 - np.tanh(v))


def files(folder: Path, moving: np.ndarray) -> tuple[Path, Path]:
    """Both as 3D Slicer would keep them; the moving ones in another order."""
    paths = folder / "fixed.mrk.json", folder / "moving.mrk.json"
    write_landmarks(Landmarks(NAMES, PINS), paths[0])
    write_landmarks(Landmarks(NAMES[::-1], moving[::-1]), paths[1])
    return paths


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "thin_plate"])
def test_the_transform_and_its_errors_are_the_landmarks(pair, tmp_path, model):
    noise = np.random.default_rng(1).normal(0, 0.2, PINS.shape)
    fixed, moving = files(tmp_path, TRUTH(PINS) + noise)
    found = LandmarksConfig(file=fixed, moving_file=moving, model=model).build().register(*pair)
    missed = np.linalg.norm(found.transform(PINS) - TRUTH(PINS) - noise, axis=1)
    assert found.quality.fiducial_um == pytest.approx(np.sqrt((missed**2).mean()), abs=1e-6)
    assert (found.quality.fiducial_um < 1e-6) == (model == "thin_plate")
    assert np.linalg.norm(found.transform(PINS) - TRUTH(PINS), axis=1).max() < 1
    assert found.quality.spread_um > found.quality.fiducial_um
    assert found.status is not Status.FAILED


def test_landmarks_that_do_not_fit_the_volumes_are_not_good(pair, tmp_path):
    """They agree perfectly with each other, in a frame that is not the volumes'."""
    fixed, moving = files(tmp_path, TRUTH(PINS) + np.array([0.0, 0.0, 20.0]))
    found = LandmarksConfig(file=fixed, moving_file=moving).build().register(*pair)
    assert found.quality.fiducial_um < 1e-6
    assert found.status is not Status.GOOD


def test_two_exchanged_pins_are_named(pair, tmp_path):
    order = [1, 0, *range(2, 9)]
    fixed, moving = files(tmp_path, TRUTH(PINS)[order])
    found = LandmarksConfig(file=fixed, moving_file=moving).build().register(*pair)
    assert found.status is not Status.GOOD
    assert any("pin 0" in reason for reason in found.reasons)


def test_one_table_holds_both(pair, tmp_path):
    rows = [",".join(map(str, (n, *a, *b))) for n, a, b in zip(NAMES, PINS / 1e3, TRUTH(PINS) / 1e3, strict=True)]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["id,fixed_z,fixed_y,fixed_x,moving_z,moving_y,moving_x", *rows]))
    found = LandmarksConfig(file=table, unit="mm").build().register(*pair)
    np.testing.assert_allclose(found.transform(PINS), TRUTH(PINS), atol=1e-6)
    assert found.status is Status.GOOD, found.reasons


def test_too_few_landmarks_are_refused(pair, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("id,fixed_z,fixed_y,fixed_x,moving_z,moving_y,moving_x\na,0,0,0,1,1,1\nb,5,0,0,6,1,1\n")
    with pytest.raises(TransformError):
        LandmarksConfig(file=table).build().register(*pair)


def test_what_does_not_go_together_is_refused(pair, tmp_path):
    with pytest.raises(ConfigError, match="start"):
        LandmarksConfig(file=tmp_path / "a.csv").build().register(*pair, start=TRUTH)
    with pytest.raises(pydantic.ValidationError, match="thin_plate"):
        LandmarksConfig(file=tmp_path / "a.csv", smoothing=2.0)
