"""Registration by the defaults of the pair's modalities."""

from __future__ import annotations

import logging

import numpy as np

import volumes
from registration.auto import AutoConfig
from registration.linear.linear import RigidConfig
from volumes import Affine, Channel

MOVED = Affine.rigid([0.12, -0.1, 0.15], [4.0, -6.0, 5.0])


def called(volume, modality):
    return volume.with_data(volume.array, [Channel(modality, modality)])


def error_um(found, points):
    return np.linalg.norm(found.transform(points) - MOVED(points), axis=1).mean()


def test_where_nothing_is_special_it_is_plain_rigid_registration(specimen):
    fixed, moving = specimen.seen(), specimen.seen(transform=MOVED, tone=np.sqrt)
    auto = AutoConfig(seed=3).build().register(fixed, moving, start=MOVED)
    plain = RigidConfig(seed=3).build().register(fixed, moving, start=MOVED)
    assert np.array_equal(auto.transform.matrix, plain.transform.matrix)
    assert auto.status is plain.status
    assert auto.quality == plain.quality


def test_few_bright_cells_in_dim_tissue_onto_tissue(specimen, points):
    """Cells that the CT does not show outshine the tissue, which is just above the noise; the scale is free."""
    rng = np.random.default_rng(8)
    tissue = specimen.seen(noise=0.01, tone=lambda brightness: 0.06 * brightness)
    index = np.rint(tissue.grid.to_index(points[rng.choice(len(points), 30)])).astype(int)
    voxels = tissue.channel().copy()
    voxels[tuple(index.T)] += rng.uniform(0.3, 1, len(index)).astype(np.float32)
    fixed = called(tissue.with_data(voxels), "fluorescence")
    moving = called(specimen.seen(transform=MOVED), "CT")
    registrar, start = AutoConfig().build(), Affine.identity()
    raw = registrar.chosen(fixed, moving).registrar.build().register(fixed, moving, start=start)
    found = registrar.register(fixed, moving, start=start)
    assert error_um(found, points) < 1.5
    assert error_um(found, points) < 0.5 * error_um(raw, points)


def test_it_says_what_it_chose(specimen, caplog):
    fixed, moving = called(specimen.seen(), "SWIR"), called(specimen.seen(transform=MOVED), "MRI")
    registrar = AutoConfig().build()
    assert str(registrar.chosen(fixed, moving)) == "mri – swir: rigid on raw intensities"
    with caplog.at_level(logging.INFO, "registration.auto"):
        registrar.register(fixed, moving, start=MOVED)
    assert "mri – swir: rigid" in caplog.text


def test_channels_are_those_that_were_asked_for(specimen, points):
    first, second = specimen.seen(), specimen.seen(transform=MOVED)
    foreign = np.random.default_rng(1).normal(0, 1, second.grid.shape).astype(np.float32)
    channels = [Channel("other", "brightfield"), Channel("cells", "fluorescence")]
    both = volumes.Volume(np.stack([foreign, second.channel()]), second.grid, tuple(channels))
    registrar = AutoConfig(moving_channel="cells").build()
    assert registrar.chosen(first, both).pair == "fluorescence – fluorescence"
    assert error_um(registrar.register(first, both, start=MOVED), points) < 1.5


def test_masks_are_handed_on(specimen, points):
    fixed, moving = specimen.seen(), called(specimen.seen(transform=MOVED), "MRI")
    mask = np.ones(fixed.grid.shape, bool)
    mask[:1] = False
    found = AutoConfig().build().register(fixed, moving, fixed_mask=mask, start=MOVED)
    assert error_um(found, points) < 1.5
    assert found.quality.dispute_um is not None
