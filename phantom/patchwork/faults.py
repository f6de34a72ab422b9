"""What an instrument does to a clean picture of 0 to 1: the laws of :mod:`phantom.physics` with random strength."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from phantom.instruments.difficulty import require_difficulty
from phantom.physics.attenuation import transmission
from phantom.physics.bias import bias
from phantom.physics.blur import blurred
from phantom.physics.camera import read_noise, shot_noise
from phantom.physics.rician import magnitude
from phantom.physics.stripes import stripes
from volumes.shapes import Triple, Voxels

LIGHT = ("optical", "fluorescence", "brightfield", "phase", "SWIR")
"""Modalities whose light is weakened on its way and counted by a camera."""


def degraded(clean: Voxels, modality: str, difficulty: float, rng: np.random.Generator) -> Voxels:
    """The picture as the instrument would write it, on the same scale, float32.

    Blur, ≤ 1 voxel of misplacement, then for light attenuation and stripes, for MRI a bias field; at last noise:
    Poisson and read-out for light, PET and SPECT, Rician for MRI, Gaussian for the rest.

    Parameters
    ----------
    clean : (z, y, x), 0 to about 1.
    modality : whose faults.
    difficulty : 0 leaves the picture as it is, 1 is the worst.
    rng : all randomness.

    Raises
    ------
    ConfigError : a difficulty outside of [0, 1].
    """
    require_difficulty(difficulty)
    picture = clean.astype(np.float32)
    if difficulty == 0:
        return picture
    voxels: Triple = (1.0, 1.0, 1.0)
    sigma = difficulty * rng.uniform(0, 1.6)
    picture = blurred(picture, (sigma * rng.uniform(1, 2), sigma, sigma), voxels)
    if rng.random() < 0.5:
        shift = [difficulty * rng.uniform(-1, 1) if n > 1 else 0.0 for n in picture.shape]
        picture = ndimage.shift(picture, shift, order=1, mode="nearest")
    if modality in LIGHT:
        picture = picture * _light_that_comes(picture, difficulty, rng)
    if modality == "MRI" and rng.random() < 0.5:
        field = bias(difficulty * rng.uniform(0, 0.5), picture.shape, rng)
        picture = picture * np.stack([field.plane(z) for z in range(picture.shape[0])])
    return _noisy(np.maximum(picture, 0), modality, difficulty * rng.uniform(0, 0.15), rng)


def _light_that_comes(picture: Voxels, difficulty: float, rng: np.random.Generator) -> Voxels:
    """The share of the light: less with depth along one axis, less behind specks."""
    share = np.ones(picture.shape, np.float32)
    if rng.random() < 0.5:
        axis = int(rng.integers(0 if picture.shape[0] > 1 else 1, 3))
        way = np.linspace(0, 1, picture.shape[axis], dtype=np.float32)
        way = way[::-1] if rng.random() < 0.5 else way
        path = difficulty * rng.uniform(0, 2.0) * way.reshape([-1 if a == axis else 1 for a in range(3)])
        share = share * transmission(path)
    if rng.random() < 0.3:
        nz, ny, nx = picture.shape
        depth, seed = difficulty * rng.uniform(0, 0.6), int(rng.integers(1 << 30))
        share = share * stripes(range(nz), (ny, nx), (1, 1, 1), depth, seed)
    return share


def _noisy(picture: Voxels, modality: str, deviation: float, rng: np.random.Generator) -> Voxels:
    """Noise whose deviation at full brightness is about the one given."""
    if deviation < 1e-3:
        return picture
    if modality in (*LIGHT, "PET", "SPECT"):
        photons = 1 / deviation**2
        return read_noise(shot_noise(picture * photons, rng), 0.2 / deviation, rng) / np.float32(photons)
    if modality == "MRI":
        noise = deviation * rng.standard_normal((2, *picture.shape), dtype=np.float32)
        return magnitude(picture, noise[0], noise[1])
    return np.asarray(picture + deviation * rng.standard_normal(picture.shape, dtype=np.float32), np.float32)
