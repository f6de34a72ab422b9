"""How well a pose explains a picture: the share R² of its variance that projections of the features explain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from scipy import linalg, ndimage
from scipy.spatial.transform import Rotation

from registration.projection.cloud import Cloud, Model
from registration.projection.picture import Image, Screen
from registration.projection.projector import largest_through, place, sum_through, surface
from volumes.shapes import AnyArray, Matrix3

RIDGE = 1e-4
"""Share of the features' mean energy that is added to each one's, so that features that look alike stay harmless."""
FLOOR = 0.03
"""Share of the picture's variance that the model itself may be wrong by."""
FADING = 1e-9
"""Attenuation below this many per µm is none."""


@dataclass(frozen=True)
class View:
    """How the specimen lies before the camera.

    A point x about the specimen's middle is seen at ``s Dᵀ R x`` + (0, shift), in depth, rows and columns about the
    middle of the picture's field; D are the picture's axes.

    Parameters
    ----------
    rotation : R, proper, in the world.
    shift_um : where the specimen's middle is seen (rows, columns).
    scale : s.
    attenuation : µ, per µm of tissue; 0 is clear.
    """

    rotation: Matrix3
    shift_um: Float64[np.ndarray, " 2"]
    scale: float = 1.0
    attenuation: float = 0.0

    def turned(self, vector: Float64[np.ndarray, " 3"]) -> View:
        """The view after a further turn by a rotation vector in the world."""
        return replace(self, rotation=Rotation.from_rotvec(vector).as_matrix() @ self.rotation)


@dataclass(frozen=True)
class Fit:
    """What a view explains of a picture.

    Parameters
    ----------
    explained : R², the share of the picture's variance, in the geometric mean of what both bands leave.
    rests : what it leaves of either band (2, n): the whole picture, and its detail.
    left : 1 − R² of either band (2,).
    """

    explained: float
    rests: Float64[np.ndarray, "2 n"]
    left: Float64[np.ndarray, " 2"]

    def weighed(self, like: Fit) -> Float64[np.ndarray, " m"]:
        """What is left (2 n,), each band divided by the norm of what ``like`` leaves of it.

        Half its square changes as the mean of ln(left) does around ``like``.
        """
        norms = np.linalg.norm(like.rests, axis=1, keepdims=True)
        out: AnyArray = (self.rests / np.maximum(norms, 1e-12)).ravel()
        return out

    def against(self, other: Fit) -> float:
        """By how much less this one leaves: the mean over the bands of ln(left of the other / left of this).

        :data:`FLOOR` is added to all: no model is so true that differences below it tell poses apart.
        """
        return float(np.log((other.left + FLOOR) / (self.left + FLOOR)).mean())


@dataclass(frozen=True)
class Scene:
    """A cloud before a screen.

    Parameters
    ----------
    cloud : the volume at one resolution.
    screen : the picture at one.
    axes : D, the picture's axes in the world, its viewing direction first.
    model : what a pixel collects.
    detail_um : structures finer than this count twice: as part of the picture, and by themselves.
    """

    cloud: Cloud
    screen: Screen
    axes: Matrix3
    model: Model
    detail_um: float

    def fit(self, view: View) -> Fit:
        """The best combination of the features' projections, of either band: a ridge regression with an offset.

        A maximum is no sum, and so its square stands in for other functions of it.
        """
        images = self.projection(view).astype(np.float64)
        if self.model == "max":
            images = np.concatenate([images, images**2], axis=-1)
        rests, left = [], []
        for bases, picture in ((images, self.screen.image), (self._detail(images), self._fine)):
            rest, share = _explained(bases[self.screen.known], picture[self.screen.known])
            left.append(share)
            rests.append(rest)
        return Fit(1 - float(np.exp(np.mean(np.log(left)))), np.stack(rests), np.asarray(left))

    @cached_property
    def _fine(self) -> Image:
        return self._detail(self.screen.image[..., None])[..., 0]

    def _detail(self, images: AnyArray) -> AnyArray:
        """The images (rows, columns, k) without what is coarser than ``detail_um``."""
        size = [2 * round(1.25 * self.detail_um / p) + 1 for p in self.screen.pixel_um]
        return images - ndimage.uniform_filter(images, (*size, 1), mode="nearest")

    def projection(self, view: View) -> AnyArray:
        """The features' projections on the screen (rows, columns, k), float32."""
        shape = self.screen.image.shape
        out = np.empty((*shape, self.cloud.features.shape[1]), np.float32)
        seen = np.empty_like(self.cloud.points_um)
        place(self.cloud.points_um, self.matrix(view), seen)
        project(seen, self.cloud.features, self.model, view.attenuation, out)
        return out

    def matrix(self, view: View) -> Float64[np.ndarray, "3 4"]:
        """Points about the specimen's middle → depth in µm, row and column in pixels."""
        out = np.zeros((3, 4))
        out[:, :3] = view.scale * self.axes.T @ view.rotation
        out[1:, 3] = view.shift_um - self.screen.first_um
        out[1:] /= self.screen.pixel_um[:, None]
        return out


def _explained(bases: AnyArray, picture: AnyArray) -> tuple[AnyArray, float]:
    """What a regression leaves (n,), and its share of the variance."""
    bases = bases - bases.mean(axis=0)
    picture = picture - picture.mean()
    gram = bases.T @ bases
    gram[np.diag_indices_from(gram)] += RIDGE * max(np.trace(gram) / len(gram), 1e-12)
    rest = picture - bases @ linalg.solve(gram, bases.T @ picture, assume_a="pos")
    return rest, max(float(rest @ rest) / max(float(picture @ picture), 1e-12), 1e-9)


def project(seen: AnyArray, features: AnyArray, model: Model, attenuation: float, out: AnyArray) -> None:
    """What each pixel collects of points at (depth, row, column), into ``out`` (rows, columns, k)."""
    if model in ("depth", "sum"):
        lift = np.zeros(out.shape[:2])
        if attenuation > FADING:
            surface(seen, lift)
            np.exp(np.where(np.isfinite(lift), attenuation * lift, -np.inf), out=lift)
        sum_through(seen, features, attenuation if attenuation > FADING else 0.0, lift, out)
    else:
        largest_through(seen, features, out)
