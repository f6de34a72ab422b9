"""Transforms from elsewhere: the figures are those of the transform, and a wrong one is not taken for a right one."""

from __future__ import annotations

import numpy as np
import pytest

import volumes
from registration.given import AssessmentSettings, GivenConfig, assess
from registration.linear.linear import RigidConfig
from registration.quality import Status
from volumes import Affine, Composite, DisplacementField
from volumes.errors import ConfigError, VolumeFileError

TRUTH = Affine.rigid((0.2, -0.1, 0.15), (5.0, -4.0, 7.0), (0.0, 0.0, 0.0))


@pytest.fixture
def pair(specimen):
    return specimen.seen(), specimen.seen(transform=TRUTH, tone=lambda v: 1 - np.tanh(v))


def test_the_true_transform_is_good(pair):
    found = assess(TRUTH, *pair)
    assert found.status is Status.GOOD, found.reasons
    assert found.transform is TRUTH
    assert found.quality.spread_um < 1.5
    assert found.quality.similarity_after > found.quality.similarity_before + 0.02
    assert found.quality.rotation_deg == pytest.approx(TRUTH.rotation_deg)
    assert found.quality.jacobian_min == found.quality.jacobian_max == pytest.approx(1)


def test_its_likeness_is_that_of_a_registration_that_begins_there(pair):
    """Two ways to the same figure: points moved first, or the matrix handed to the search."""
    searched = RigidConfig(rotations=0, fine_bins=32).build().register(*pair, start=TRUTH)
    given = assess(searched.transform, *pair)
    assert given.quality.similarity_after == pytest.approx(searched.quality.similarity_after, abs=0.01)
    assert given.quality.overlap == pytest.approx(searched.quality.overlap, abs=0.01)


@pytest.mark.parametrize("shift", [15.0, -15.0])
def test_a_transform_that_is_off_is_not_good_and_says_how_far(pair, shift):
    found = assess(Affine.rigid(translation_um=(0.0, shift, 0.0)) @ TRUTH, *pair)
    assert found.status is not Status.GOOD
    assert found.quality.spread_um == pytest.approx(15.0, abs=2.0)
    assert any("away" in reason for reason in found.reasons)


def test_a_transform_that_lays_the_volumes_apart_failed(pair):
    found = assess(Affine.rigid(translation_um=(1e4, 0.0, 0.0)), *pair)
    assert found.status is Status.FAILED
    assert found.quality.overlap == 0


def test_a_bent_transform_is_looked_at_over_its_field(pair):
    fixed, moving = pair
    index = np.stack(np.meshgrid(*map(np.arange, fixed.grid.shape), indexing="ij"), -1)
    bend = np.zeros((*fixed.grid.shape, 3))
    bend[..., 0] = 2.0 * np.sin(index[..., 2] / 6.0)
    bent = Composite((TRUTH, DisplacementField(bend, fixed.grid)))
    found = assess(bent, fixed, moving)
    straight = assess(TRUTH, fixed, moving)
    assert found.quality.folded_fraction == 0
    assert found.quality.similarity_after < straight.quality.similarity_after
    assert found.quality.rotation_deg == pytest.approx(straight.quality.rotation_deg, abs=2)
    wild = Composite((TRUTH, DisplacementField(10 * bend[..., ::-1], fixed.grid)))
    folded = assess(wild, fixed, moving)
    assert folded.quality.folded_fraction > 0.01
    assert folded.status is Status.FAILED


def test_the_registrar_reads_the_file(pair, tmp_path):
    volumes.write_transform(TRUTH, tmp_path / "bed.tfm")
    registrar = GivenConfig(file=tmp_path / "bed.tfm").build()
    found = registrar.register(*pair)
    np.testing.assert_allclose(found.transform.matrix, TRUTH.matrix, atol=1e-9)
    assert found.status is Status.GOOD
    with pytest.raises(ConfigError, match="start"):
        registrar.register(*pair, start=TRUTH)
    with pytest.raises(VolumeFileError, match=r"absent\.tfm"):
        GivenConfig(file=tmp_path / "absent.tfm").build().register(*pair)


def test_the_same_call_gives_the_same_figures(pair):
    settings = AssessmentSettings(samples=10_000)
    assert assess(TRUTH, *pair, settings) == assess(TRUTH, *pair, settings)
