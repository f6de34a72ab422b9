"""Masks, starts and the least overlap: the right pose is found under them, and none that is wrong comes out good."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import ndimage

import volumes
from configs import demo_data
from phantom.displaced import displaced
from registration import RigidConfig, Status, register
from registration.linear.align import Ascent, Pair
from registration.linear.masked import Pose
from registration.linear.motion import Candidate
from registration.linear.similarity import draw
from registration.prepared import prepare
from volumes import Affine

QUICK = {"rotations": 0, "finest_um": 10.0, "samples": 30_000}
LIMIT_UM = 7.0
"""The stains lie 6 µm apart where no mask is given; one more is allowed."""


@dataclass(frozen=True)
class Brains:
    """Two stains of one brain, the second displaced by ``truth``."""

    fixed: volumes.Volume
    moving: volumes.Volume
    truth: Affine

    def mask(self, which: str, margin: int) -> np.ndarray:
        """The brain alone, or with so many voxels around it."""
        volume = getattr(self, which)
        brain = (volume.channel() > (20 if which == "fixed" else 30)) & volume.mask()
        return ndimage.binary_dilation(brain, iterations=margin) if margin else brain

    def off_um(self, found: Affine) -> float:
        points = self.fixed.grid.to_world(np.argwhere(self.fixed.channel() > 60)[::50])
        return float(np.linalg.norm(found(points) - self.truth(points), axis=1).mean())


@pytest.fixture(scope="module")
def brains():
    fixed = volumes.read(demo_data("zbrain-tERK.nrrd"), modality="fluorescence")
    still = volumes.read(demo_data("zbrain-H2B-RFP.nrrd"), modality="fluorescence")
    moving, truth = displaced(still, rotation_deg=(9, -6, 11), shift_um=(-25, 38, 31), noise=0.02, seed=7)
    return Brains(fixed, moving, truth)


@pytest.mark.parametrize(
    ("which", "margin", "settings", "begun"),
    [
        ("fixed", 4, {}, False),
        ("moving", 4, QUICK, False),
        ("fixed", 4, QUICK, False),
        ("fixed", 4, QUICK, True),
        ("fixed", 4, QUICK | {"least_overlap": 0.7}, False),
        ("fixed", 4, QUICK | {"least_overlap": 0.7}, True),
    ],
)
def test_a_mask_with_a_little_margin_keeps_the_right_pose(brains, which, margin, settings, begun):
    found = register(
        brains.fixed,
        brains.moving,
        RigidConfig(**settings),
        start=brains.truth if begun else None,
        **{f"{which}_mask": brains.mask(which, margin)},
    )
    assert brains.off_um(found.transform) < LIMIT_UM
    assert found.status is Status.GOOD, found.reasons


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_tight_mask_that_leads_astray_is_told_and_not_followed(brains, which):
    mask = {f"{which}_mask": brains.mask(which, 0)}
    found = register(brains.fixed, brains.moving, RigidConfig(**QUICK), **mask)
    assert brains.off_um(found.transform) < LIMIT_UM
    assert found.status is Status.DOUBTFUL
    assert any("without the mask" in reason for reason in found.reasons)
    assert found.quality.dispute_um > 20
    begun = register(brains.fixed, brains.moving, RigidConfig(**QUICK), **mask, start=brains.truth)
    assert brains.off_um(begun.transform) < LIMIT_UM


def test_the_least_overlap_is_the_specimens_not_the_fields(brains):
    """A quarter of the displaced field is empty, but all of the brain lies inside it."""
    strict = RigidConfig(**QUICK, least_overlap=0.85)
    found = register(brains.fixed, brains.moving, strict)
    assert brains.off_um(found.transform) < LIMIT_UM
    assert found.status is Status.GOOD, found.reasons
    assert found.quality.overlap > 0.95


def test_a_mask_tells_two_specimens_apart(specimen, points):
    """The field holds another one beside the specimen, of which the moving field shows nothing."""
    wide = volumes.Grid((36, 40, 88), (3.0, 3.0, 3.0), (-54.0, -60.0, -66.0))
    truth = Affine.rigid((0.1, -0.2, 0.15), (5.0, -4.0, 6.0))
    alone = specimen.seen(wide)
    other = specimen.seen(wide, Affine.rigid((0.9, 0.4, -1.1), (0.0, 0.0, 132.0)), noise=0.0)
    both = alone.with_data(np.maximum(alone.array[0], 1.5 * other.array[0]))
    mask = np.zeros(wide.shape, bool)
    mask[:, :, :44] = True
    found = register(both, specimen.seen(transform=truth), fixed_mask=mask)
    assert np.linalg.norm(found.transform(points) - truth(points), axis=1).mean() < 0.6


def test_samples_reach_the_rim_of_the_mask_at_every_resolution(specimen):
    mask = np.zeros((36, 40, 44), bool)
    mask[10:26, 10:30, 10:34] = True
    ready = prepare(specimen.seen(), mask, 32, 0, "fixed")
    for scale in ready.scales[1:3]:
        kept = draw(scale, 2000, 0, ready.scales[0])
        index = ready.grid.to_index(kept.points_um)
        assert (index > np.array([10, 10, 10]) - 0.02).all()
        assert (index < np.array([25, 29, 33]) + 0.02).all()
        np.testing.assert_array_less(index.min(axis=0), 11.5)
        np.testing.assert_array_less([23.5, 27.5, 31.5], index.max(axis=0))
        assert len(kept.bins) > 500


def test_brightness_beyond_a_mask_takes_no_bins(specimen, rng):
    seen = specimen.seen()
    mask = np.ones(seen.grid.shape, bool)
    mask[:, :, 30:] = False
    spoilt = seen.array[0].copy()
    spoilt[~mask] = rng.random(int((~mask).sum())) * 1e6
    clean = prepare(seen, mask, 32, 0, "fixed").scales[0].bins
    whole = prepare(seen.with_data(spoilt), None, 32, 0, "fixed", mask).scales[0].bins
    np.testing.assert_allclose(whole[mask], clean[mask], atol=0.5)


def test_a_start_better_than_what_the_climb_finds_is_gone_back_to(specimen, points, monkeypatch):
    truth = Affine.rigid((0.1, -0.2, 0.15), (5.0, -4.0, 6.0))
    climb = Pair.ascend

    def astray(pair: Pair, start: Affine | None) -> Ascent:
        ascent = climb(pair, start)
        value, overlap = ascent.field.value(np.eye(4))
        return replace(ascent, best=[Candidate(np.eye(4), value, overlap)])

    monkeypatch.setattr(Pair, "ascend", astray)
    found = register(specimen.seen(), specimen.seen(transform=truth), start=truth)
    assert np.linalg.norm(found.transform(points) - truth(points), axis=1).mean() < 0.6
    assert found.status is Status.GOOD, found.reasons


@pytest.mark.parametrize(("inside", "whole", "beats"), [(1.1, 0.1, True), (1.1, 0.3, False), (1.19, 0.1, False)])
def test_a_pose_beats_another_only_under_both_measures(inside, whole, beats):
    best = Pose(Candidate(np.eye(4), 1.2, 1.0), 0.2)
    assert best.beats(Pose(Candidate(np.eye(4), inside, 1.0), whole)) is beats


@pytest.mark.parametrize(("pair", "limit_mm"), [("T1-T2", 1.5), ("T1-CT", 3.0)])
def test_real_brains_under_a_brain_mask(bench, pair, limit_mm):
    sitk = pytest.importorskip("SimpleITK")
    from experiments.bench.registration_ours import as_volume

    spec = importlib.util.spec_from_file_location("registration_cases", bench / "registration_cases.py")
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    fixed, moving, points, truth = cases.make_case(pair, "rigid", 0)
    brain = sitk.Resample(cases.load("spm_brainmask.nii.gz"), fixed, sitk.Transform(), sitk.sitkLinear, 0.0)
    mask = sitk.GetArrayFromImage(brain) > 0.5
    found = register(as_volume(fixed, 1000.0), as_volume(moving, 1000.0), fixed_mask=mask)
    there = found.transform(points[:, ::-1] * 1000.0)[:, ::-1] / 1000.0
    assert np.linalg.norm(there - truth, axis=1).mean() < limit_mm
    assert found.status is Status.GOOD, found.reasons
