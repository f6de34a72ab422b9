"""Heads: slices cut from maps of one head's tissues, bent, folded and harmed at random, and what CT, MRI and PET show.

The maps of an average head are smooth. Its cortex is drawn anew: with n a smooth noise and d the depth below the
brain's surface, there is cerebrospinal fluid where |n| < w (1 − d / D)₊, and grey matter around it; below that the
maps, roughened by noise, say what is where. No two slices show the same head, but all show a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from phantom.patchwork.looks import Look, coloured, edged, pictures_of, textured, with_marks
from phantom.patchwork.structure import SHELL, TISSUES, Structure, depth_in, filled, smooth_noise
from volumes.shapes import AnyArray, ChannelVoxels, Mask, Shape3, Voxels

FLUID, WHITE, GREY, SKIN, MUSCLE, LESION, MARROW = 2, 3, 4, 5, 6, 7, 8
"""Labels, beside 0 outside and :data:`SHELL` for bone; those beyond are of patches."""
AIR, BONE = 500.0, 2950.0
"""Between which densities soft tissue lies, on the maps' scale (that of Rorden et al. 2012, NeuroImage 61)."""
AXES = (0.6, 0.3, 0.1)
"""How often a slice is axial, coronal, sagittal."""
WHITEST = 255


@dataclass(frozen=True, eq=False)
class TissueMaps:
    """One head on one grid.

    Parameters
    ----------
    density : its CT (z, y, x), soft tissue between :data:`AIR` and :data:`BONE`.
    grey, white, fluid : probability of grey matter, white matter and cerebrospinal fluid there.
    """

    density: Voxels
    grey: Voxels
    white: Voxels
    fluid: Voxels


def random_head(maps: TissueMaps, size: int, rng: np.random.Generator) -> Structure:
    """A slice of (1, size, size) voxels, of about a millimetre where the maps have two.

    Parameters
    ----------
    maps : the head.
    size : of the slice's sides; a slice that reaches beyond is cut.
    rng : all randomness.
    """
    axis = int(rng.choice(3, p=AXES))
    density, grey, white, fluid = _bent(_slice(maps, axis, rng), size, rng)
    body = filled((density > AIR)[None])[0]
    likely = grey + white + fluid
    brain = likely > 0.5
    labels = np.where(body, SKIN, 0).astype(np.uint8)
    labels[body & (_noise(size, 3, 8, rng) > rng.uniform(0, 1.2))] = MUSCLE
    bone = (density > BONE) & ~brain
    labels[bone] = SHELL
    labels[ndimage.binary_erosion(bone, iterations=int(rng.integers(2, 4)))] = MARROW if rng.random() < 0.6 else SHELL
    rough = rng.uniform(0.05, 0.35)
    odds = [likely_one + rough * _noise(size, 1.0, 3.0, rng) for likely_one in (fluid, white, grey)]
    inside = np.array([FLUID, WHITE, GREY], np.uint8)[np.argmax(odds, axis=0)]
    labels[brain] = _folded(inside, brain, rng)[brain]
    _harm(labels, brain, rng)
    return Structure(labels[None], depth_in(body[None]))


def head_pictures(structure: Structure, looks: list[Look], rng: np.random.Generator) -> ChannelVoxels:
    """One clean picture for each look, (looks, 1, y, x) float32 in [0, 1], in steps of 8 bits as files have them.

    Parameters
    ----------
    structure : of :func:`random_head`.
    looks : contrast as MRI has it, density as CT, uptake as PET and SPECT; any other as patchworks have it.
    rng : all randomness.
    """
    own = {"contrast": _magnetic, "dense": _density, "functional": _uptake}
    drawn = [own[look](structure, rng) if look in own else pictures_of(structure, [look], rng)[0] for look in looks]
    levels = np.rint(WHITEST * np.clip(np.stack(drawn), 0, 1)) / WHITEST
    return np.asarray(levels, np.float32)


def _slice(maps: TissueMaps, axis: int, rng: np.random.Generator) -> ChannelVoxels:
    stacked = np.stack([maps.density, maps.grey, maps.white, maps.fluid])
    count = stacked.shape[axis + 1]
    planes: ChannelVoxels = np.take(stacked, int(rng.integers(0.2 * count, 0.88 * count)), axis + 1)
    return planes


def _bent(planes: ChannelVoxels, size: int, rng: np.random.Generator) -> ChannelVoxels:
    """The slice turned, scaled, sheared and bent, in the middle of a field of ``size``² pixels."""
    scale = rng.uniform(1.5, 2.4) * rng.uniform(0.92, 1.08, 2)
    angle = rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    y, x = np.mgrid[:size, :size].astype(np.float32)
    away = np.stack([y, x]) - size / 2 + rng.uniform(-0.05, 0.05, (2, 1, 1)) * size
    strength, reach = rng.uniform(0, 4), rng.uniform(12, 40)
    away = away + strength * np.stack([_noise(size, reach, reach, rng) for _ in range(2)])
    middle = (np.array(planes.shape[1:]) - 1) / 2
    at = np.tensordot(turn / scale[:, None], away, 1) + middle[:, None, None]
    return np.stack([ndimage.map_coordinates(plane, at, order=1, mode="constant") for plane in planes])


def _folded(inside: Voxels, brain: Mask, rng: np.random.Generator) -> Voxels:
    """The cortex: folds of fluid that narrow with depth, grey matter around them and along the surface."""
    depth = ndimage.distance_transform_edt(brain)
    folds = np.abs(_noise(len(brain), 3.0, 6.5, rng))
    deepest = rng.uniform(10, 30)
    narrowing = np.clip(1 - depth / deepest, 0, 1)
    width, ribbon = rng.uniform(0.02, 0.4) * narrowing, rng.uniform(0.3, 0.9)
    near = depth < deepest
    out = np.where(near & ((folds < width + ribbon * narrowing**0.3) | (depth < rng.uniform(1, 5))), GREY, inside)
    out = np.where(near & (folds < width), FLUID, out)
    return np.asarray(np.where(depth < rng.uniform(0.5, 3), FLUID, out), np.uint8)


def _harm(labels: Voxels, brain: Mask, rng: np.random.Generator) -> None:
    """Sometimes a lesion with a rough outline, and a few patches of other tissues, in place."""
    size = len(labels)
    if rng.random() < 0.35 and brain.any():
        y, x = np.mgrid[:size, :size]
        centre = np.argwhere(brain)[int(rng.integers(brain.sum()))]
        away = np.hypot(y - centre[0], x - centre[1]) + rng.uniform(1, 6) * _noise(size, 2.0, 6.0, rng)
        labels[brain & (away < rng.uniform(4, 26))] = LESION
    for label in range(MARROW + 1, int(rng.integers(MARROW + 1, TISSUES + 1))):
        patch = _noise(size, 1.0, 10.0, rng) > rng.uniform(2.0, 3.0)
        labels[patch & (labels > SHELL)] = label


def _density(structure: Structure, rng: np.random.Generator) -> Voxels:
    """Brain of nearly one grey, fluid a little darker, skin dark; bone so bright that it spreads over its borders."""
    levels = np.zeros(TISSUES)
    brain = rng.uniform(0.2, 0.65)
    levels[[FLUID, WHITE, GREY]] = brain + rng.uniform((-0.3, -0.04, 0.0), (0.0, 0.0, 0.06))
    levels[[SKIN, MUSCLE]] = rng.uniform(0, (0.25, 0.4))
    levels[LESION], levels[MARROW + 1 :] = brain + rng.uniform(-0.25, 0.25), brain + rng.normal(0, 0.06)
    levels[[SHELL, MARROW]] = rng.uniform((1.0, 0.7), 1.4)
    drawn = np.clip(levels, 0, None)[structure.labels]
    if rng.random() < 0.7:
        bone = np.isin(structure.labels, (SHELL, MARROW))
        plane = ndimage.generate_binary_structure(2, 1)[None]
        drawn = np.where(ndimage.binary_dilation(bone, plane, int(rng.integers(1, 5))), levels[SHELL], drawn)
    grain = rng.uniform(0, 0.025) * smooth_noise(drawn.shape, rng.uniform(0.5, 1.0), rng)
    picture = edged(drawn, rng.uniform(0.4, 1.0)) + grain * (drawn > 0)
    return with_marks(picture, rng) if rng.random() < 0.3 else np.asarray(picture, np.float32)


def _magnetic(structure: Structure, rng: np.random.Generator) -> Voxels:
    """T1-like, T2-like, or any contrast; bone nearly black, a coil's uneven light, the noise of a magnitude."""
    levels = _contrasts(rng)
    body = edged(levels[structure.labels], rng.uniform(0.3, 0.9))
    shape = structure.labels.shape
    uneven = 1 + rng.uniform(0, 0.2) * smooth_noise(shape, 0.25 * shape[1], rng)
    drawn = textured(body, rng.uniform(0.02, 0.2), rng) * uneven * rng.uniform(0.7, 1.2)
    if rng.random() < 0.3:
        noise = rng.uniform(0.002, 0.03) * rng.standard_normal((2, *shape))
        drawn = np.hypot(drawn + noise[0], noise[1])
        drawn = np.where(drawn < rng.uniform(0, 0.03), 0, drawn)
    return np.asarray(drawn, np.float32)


def _contrasts(rng: np.random.Generator) -> AnyArray:
    levels = rng.uniform(0.05, 1.0, TISSUES)
    kind = rng.random()
    if kind < 0.4:
        levels[[FLUID, WHITE, GREY]] = rng.uniform((0.7, 0.2, 0.35), (1.1, 0.45, 0.65))
        levels[[SKIN, MUSCLE, MARROW]] = rng.uniform((0.1, 0.1, 0.0), (0.6, 0.4, 0.4))
    elif kind < 0.8:
        levels[[FLUID, WHITE, GREY]] = rng.uniform((0.02, 0.55, 0.35), (0.3, 0.9, 0.65))
        levels[[SKIN, MUSCLE, MARROW]] = rng.uniform((0.5, 0.2, 0.1), (1.1, 0.6, 0.9))
    levels[0], levels[SHELL] = 0, rng.choice([0.0, rng.uniform(0, 0.12)])
    return levels


def _uptake(structure: Structure, rng: np.random.Generator) -> Voxels:
    """Most in grey matter, less elsewhere, uneven over the brain, through a wide blur, at times in false colours."""
    levels = np.zeros(TISSUES)
    levels[[FLUID, WHITE, GREY]] = rng.uniform((0.0, 0.15, 0.7), (0.3, 0.6, 1.0))
    levels[[SHELL, SKIN, MUSCLE, MARROW]] = rng.choice([0.0, 1.0]) * rng.uniform(0, 0.35, 4)
    levels[LESION], levels[MARROW + 1 :] = rng.uniform(0, 1.3), rng.uniform(0, 1.3, TISSUES - MARROW - 1)
    shape = structure.labels.shape
    uneven = 1 + rng.uniform(0, 0.4) * smooth_noise(shape, rng.uniform(8, 30), rng)
    blur = rng.uniform(1.2, 3.0) if rng.random() < 0.5 else rng.uniform(2.0, 6.0)
    picture = edged(levels[structure.labels] * np.clip(uneven, 0.2, None), blur)
    picture = picture / max(float(picture.max()), 1e-3) * rng.uniform(0.5, 1.0)
    picture = np.where(picture < rng.uniform(0.01, 0.06), 0, picture)
    return coloured(picture, rng) if rng.random() < 0.5 else picture


def _noise(size: int, least: float, most: float, rng: np.random.Generator) -> AnyArray:
    """A plane of smooth noise, of a correlation length between the two."""
    shape: Shape3 = (1, size, size)
    return np.asarray(smooth_noise(shape, rng.uniform(least, most), rng)[0])
