"""All rotations and all shifts of a specimen before a picture, at a coarse resolution: shifts by correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import fft

from registration.projection.fit import RIDGE, Scene, View, project
from registration.projection.projector import place
from volumes.shapes import AnyArray, Matrix3, Points

DAMPED = 0.8
"""Share of what is coarse that does not count in the search."""
BATCH = 64
"""Rotations that are transformed together."""


@dataclass(frozen=True)
class Seen:
    """A view and the share of the picture's variance that it explains."""

    view: View
    explained: float


def searched(scene: Scene, turns: Float64[np.ndarray, "m 3 3"], attenuation: float) -> list[Seen]:
    """The best shift of each rotation, best first.

    With c the correlations of the picture with the features' projections at a shift and G the products of the
    projections with each other, R² = cᵀ G⁻¹ c / |picture|²; c of all shifts comes from one Fourier transform a feature.
    Both sides have most of what is coarser than the scene's detail taken off, since any outline resembles any other.

    Parameters
    ----------
    scene : at a coarse resolution.
    turns : rotations in the world.
    attenuation : µ, per µm.
    """
    board = _Board.of(scene)
    out: list[Seen] = []
    for first in range(0, len(turns), BATCH):
        part = turns[first : first + BATCH]
        images = np.stack([board.projection(scene, turn, attenuation) for turn in part])
        scores, shifts = board.best(images)
        out += [
            Seen(View(turn, shift, attenuation=attenuation), float(score))
            for turn, shift, score in zip(part, shifts, scores, strict=True)
        ]
    return sorted(out, key=lambda seen: -seen.explained)


@dataclass(frozen=True)
class _Board:
    """The picture's spectrum on a canvas with room for the specimen around it.

    Parameters
    ----------
    scene : whose picture it is.
    spectrum : of the picture, sharpened.
    filter : what sharpens, for each frequency.
    weights : how often each frequency of a half spectrum stands for, over the canvas's pixels.
    energy : Σ picture², sharpened.
    shape : of the canvas.
    allowed : (rows, columns) shifts that leave the specimen's middle in the field.
    middle_px : where the specimen's middle is drawn.
    """

    scene: Scene
    spectrum: AnyArray
    filter: AnyArray
    weights: AnyArray
    energy: float
    shape: tuple[int, int]
    allowed: AnyArray
    middle_px: Float64[np.ndarray, " 2"]

    @classmethod
    def of(cls, scene: Scene) -> _Board:
        screen = scene.screen
        reach = 2 * np.linalg.norm(scene.cloud.points_um, axis=1).max() / screen.pixel_um + 4
        rows, columns = (
            fft.next_fast_len(int(max(n + r / 2, r)) + 1, real=True)
            for n, r in zip(screen.image.shape, reach, strict=True)
        )
        canvas = np.zeros((rows, columns), np.float32)
        canvas[: screen.image.shape[0], : screen.image.shape[1]] = screen.image
        middle = np.floor(np.array([rows, columns]) / 2)
        at = [(np.arange(n) + m) % n for n, m in zip((rows, columns), middle, strict=True)]
        inside = [a < n for a, n in zip(at, screen.image.shape, strict=True)]
        allowed = inside[0][:, None] & inside[1][None, :]
        sharp, weights = _sharpening((rows, columns), scene.detail_um / screen.pixel_um)
        spectrum = fft.rfft2(canvas) * sharp
        energy = float((weights * np.abs(spectrum) ** 2).sum())
        return cls(scene, spectrum, sharp, weights, energy, (rows, columns), allowed, middle)

    def projection(self, scene: Scene, rotation: Matrix3, attenuation: float) -> AnyArray:
        """The features' projections on the canvas, the specimen's middle at ``middle_px``: (k, rows, columns)."""
        matrix = np.zeros((3, 4))
        matrix[:, :3] = scene.axes.T @ rotation
        matrix[1:] /= scene.screen.pixel_um[:, None]
        matrix[1:, 3] = self.middle_px
        seen: Points = np.empty_like(scene.cloud.points_um)
        place(scene.cloud.points_um, matrix, seen)
        out = np.empty((*self.shape, scene.cloud.features.shape[1]), np.float32)
        project(seen, scene.cloud.features, scene.model, attenuation, out)
        return np.moveaxis(out, -1, 0)

    def best(self, images: AnyArray) -> tuple[AnyArray, AnyArray]:
        """The largest R² (b,) of each stack of projections (b, k, rows, columns) and the shift there (b, 2), µm."""
        spectra = fft.rfft2(images) * self.filter
        correlations = fft.irfft2(spectra.conj() * self.spectrum, self.shape)
        flat = spectra.reshape(*images.shape[:2], -1)
        gram = ((flat * self.weights.ravel()) @ flat.conj().transpose(0, 2, 1)).real.astype(np.float64)
        size = np.trace(gram, axis1=1, axis2=2) / gram.shape[1]
        gram += (RIDGE * np.maximum(size, 1e-12))[:, None, None] * np.eye(gram.shape[1])
        root = np.linalg.inv(np.linalg.cholesky(_positive(gram)))
        white = root.astype(np.float32) @ correlations.reshape(*images.shape[:2], -1)
        scores = (white**2).sum(axis=1) / self.energy
        scores[:, ~self.allowed.ravel()] = -1.0
        best = scores.argmax(axis=1)
        index = np.stack(np.unravel_index(best, self.shape), axis=1)
        where = (index + self.middle_px) % self.shape
        shifts = where * self.scene.screen.pixel_um + self.scene.screen.first_um
        return scores[np.arange(len(best)), best], shifts


def _sharpening(shape: tuple[int, int], sigma_px: AnyArray) -> tuple[AnyArray, AnyArray]:
    """1 − DAMPED · Gaussian without the mean, and the weights by which a half spectrum sums to Σ pixel²."""
    squares = [
        (np.pi * frequency * sigma) ** 2
        for frequency, sigma in zip((fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])), sigma_px, strict=True)
    ]
    sharp = 1 - DAMPED * np.exp(-2 * (squares[0][:, None] + squares[1][None, :]))
    sharp[0, 0] = 0.0
    weights = np.full(sharp.shape, 2.0 / np.prod(shape))
    weights[:, 0] /= 2
    if shape[1] % 2 == 0:
        weights[:, -1] /= 2
    return sharp.astype(np.float32), weights.astype(np.float32)


def _positive(gram: AnyArray) -> AnyArray:
    """Without negative eigenvalues, which a field too small for the specimen brings."""
    values, vectors = np.linalg.eigh(gram)
    floor = np.maximum(values[:, -1:], 1e-12) * RIDGE
    out: AnyArray = (vectors * np.maximum(values, floor)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return out
