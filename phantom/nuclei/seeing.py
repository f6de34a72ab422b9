"""A drawn specimen seen through a microscope: light that spreads and weakens, planes that are apart, and noise.

The point spread function and the haze are applied to the cosine series of the light, where the smooth background is
drawn as well (:func:`phantom.physics.blur.gaussian_transfer`): one transform there, one back.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy import fft

from phantom.nuclei.drawing import Drawn
from phantom.nuclei.recipe import Bodies, Optics, Recipe, Stain
from phantom.physics.blur import gaussian_transfer
from phantom.physics.camera import shot_noise
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels

FEW = 30.0
"""Photons in a typical nucleus up to which they are counted one by one; more are as good as normal."""


def seen(drawn: Drawn, recipe: Recipe, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """The picture, float32: a typical nucleus is at about 1, darkness at 0; noise goes below.

    Parameters
    ----------
    drawn : the specimen.
    recipe : how it shines and how it is seen.
    rng : all randomness.
    """
    optics = recipe.optics
    light = _shining(drawn, recipe.stain, recipe.bodies, rng)
    light *= _left(light.shape, optics, rng)
    light = _spread(light, recipe, rng)
    return _taken(np.maximum(light, 0), optics, rng)


def _shining(drawn: Drawn, stain: Stain, bodies: Bodies, rng: np.random.Generator) -> Voxels:
    """Nuclei, the tissue around them, and specks that are no nuclei."""
    tissue = np.clip(np.float32(stain.reach) - drawn.rho, 0, 1) * np.float32(stain.cytoplasm)
    light = np.maximum(drawn.light, tissue)
    count = rng.poisson(stain.debris * max(len(np.unique(drawn.labels)) - 1, 1))
    specks = np.empty((min(count, 200), 5))
    specks[:, :3] = rng.random((len(specks), 3)) * drawn.labels.shape
    specks[:, 3] = bodies.diameter * rng.uniform(0.04, 0.14, len(specks))
    specks[:, 4] = rng.uniform(0.3, 2.5, len(specks))
    _specks(specks, light)
    return np.asarray(light)


@kernel
def _specks(specks: AnyArray, light: Voxels) -> None:
    """Small Gaussians, the brighter one wherever they meet something."""
    for n in range(len(specks)):
        z, y, x, sigma, bright = specks[n]
        reach = int(np.ceil(3 * sigma))
        for i in range(max(0, int(z) - reach), min(light.shape[0], int(z) + reach + 1)):
            for j in range(max(0, int(y) - reach), min(light.shape[1], int(y) + reach + 1)):
                for k in range(max(0, int(x) - reach), min(light.shape[2], int(x) + reach + 1)):
                    square = (i - z) ** 2 + (j - y) ** 2 + (k - x) ** 2
                    light[i, j, k] = max(light[i, j, k], bright * np.exp(-square / (2 * sigma * sigma)))


def _left(shape: tuple[int, ...], optics: Optics, rng: np.random.Generator) -> Voxels:
    """The share of the light that is left at each depth, from either side, and behind shadows along x."""
    depth = np.arange(shape[0]) if rng.random() < 0.5 else np.arange(shape[0])[::-1]
    left = np.exp(-depth / optics.attenuation)[:, None, None]
    if optics.stripes > 0:
        shadow = np.convolve(rng.random(shape[1] + 4), np.full(5, 0.2), "valid")
        left = left * (1 - optics.stripes * shadow)[:, None]
    return np.asarray(left, np.float32)


def _spread(light: Voxels, recipe: Recipe, rng: np.random.Generator) -> Voxels:
    optics = recipe.optics
    spectrum = fft.dctn(light, norm="ortho")
    transfer = _transfer(light.shape, (optics.axial, optics.lateral, optics.lateral), 1 - optics.haze)
    if optics.haze > 0:
        wide = (1.5 * optics.haze_width, optics.haze_width, optics.haze_width)
        transfer += _transfer(light.shape, wide, optics.haze)
    spectrum *= transfer
    spread = fft.idctn(spectrum, norm="ortho", overwrite_x=True)
    if recipe.stain.autofluorescence > 0:
        spread += _smooth(light.shape, recipe.stain.autofluorescence, rng)
    return np.asarray(spread)


def _transfer(shape: tuple[int, ...], sigma: tuple[float, float, float], share: float) -> Voxels:
    z, y, x = (gaussian_transfer(n, s) for n, s in zip(shape, sigma, strict=True))
    return np.asarray((share * z[:, None, None]).astype(np.float32) * y[:, None] * x)


def _smooth(shape: tuple[int, ...], deviation: float, rng: np.random.Generator) -> Voxels:
    """A field that is nowhere below 0 and changes over a quarter of the volume, or faster."""
    low: list[int] = [min(n, int(rng.integers(3, 9))) for n in shape]
    spectrum = np.zeros(shape, np.float32)
    part = rng.standard_normal(low, dtype=np.float32)
    part[0, 0, 0] = 0
    spectrum[: low[0], : low[1], : low[2]] = part
    field = fft.idctn(spectrum, norm="ortho", overwrite_x=True)
    field *= deviation / max(float(field.std()), 1e-6)
    return np.asarray(field - min(0.0, float(np.quantile(field[::4, ::4, ::4], 0.02))))


def _taken(light: Voxels, optics: Optics, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Planes ``z_step`` apart, each with its noise, and what lies between them interpolated."""
    up = _planes(light.shape[0], optics.z_step, rng.random())
    down = up.T / np.maximum(up.sum(0)[:, None], 1e-9)
    planes = light if optics.z_step == 1 else _along_z(down, light)
    noisy = _noisy(planes, optics, rng)
    if optics.gamma != 1:
        noisy = np.sign(noisy) * np.abs(noisy) ** np.float32(optics.gamma)
    return np.asarray(noisy if optics.z_step == 1 else _along_z(up, noisy), np.float32)


def _noisy(planes: Voxels, optics: Optics, rng: np.random.Generator) -> Voxels:
    read = rng.standard_normal(planes.shape, dtype=np.float32)
    if optics.photons < FEW:
        noise = shot_noise(planes * np.float32(optics.photons), rng) / np.float32(optics.photons) - planes
        noise += np.float32(optics.read) * read
    else:
        noise = np.sqrt(planes / np.float32(optics.photons) + np.float32(optics.read**2)) * read
    if optics.grain > 0:
        _smear(noise, float(np.exp(-0.5 / optics.grain**2)))
    return np.asarray(planes + noise)


@kernel
def _smear(noise: Voxels, side: float) -> None:
    """Across y and x with weights (side, 1, side)/(1 + 2 side), in place."""
    middle = 1 / (1 + 2 * side)
    side = side * middle
    for i in range(noise.shape[0]):
        for j in range(noise.shape[1]):
            last = noise[i, j, 0]
            for k in range(noise.shape[2] - 1):
                here = noise[i, j, k]
                noise[i, j, k] = middle * here + side * (last + noise[i, j, k + 1])
                last = here
        for k in range(noise.shape[2]):
            last = noise[i, 0, k]
            for j in range(noise.shape[1] - 1):
                here = noise[i, j, k]
                noise[i, j, k] = middle * here + side * (last + noise[i, j + 1, k])
                last = here


def _planes(count: int, step: float, phase: float) -> NDArray[np.float32]:
    """(count, planes): what each of ``count`` positions takes from the planes before and behind it."""
    first = phase * (step - 1) / 2
    number = max(1, int((count - 1 - first) / step) + 1)
    at = np.clip((np.arange(count) - first) / step, 0, number - 1)
    below = np.minimum(at.astype(int), max(number - 2, 0))
    out = np.zeros((count, number), np.float32)
    out[np.arange(count), below] = 1 - (at - below)
    if number > 1:
        out[np.arange(count), below + 1] += at - below
    return out


def _along_z(matrix: NDArray[np.float32], voxels: Voxels) -> Voxels:
    return np.asarray((matrix @ voxels.reshape(len(voxels), -1)).reshape(len(matrix), *voxels.shape[1:]))
