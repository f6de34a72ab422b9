"""Made-up specimens without end, to train segmenters on: a picture, the label of each nucleus, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32

from phantom.nuclei.drawing import drawn
from phantom.nuclei.placing import placed
from phantom.nuclei.population import population
from phantom.nuclei.recipe import Recipe, random_recipe
from phantom.nuclei.seeing import seen
from phantom.nuclei.shapes import no_shapes
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Shape3

LEAST_CORRELATION = 0.2
"""A picture that tells less of its own mask than this teaches nothing."""
SMALLEST = 16
TRIES = 4
EASIER = 0.4
"""How much of the difficulty is left for another try."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """A made-up specimen on voxels that are alike along all axes.

    Parameters
    ----------
    image : a typical nucleus is at about 1.
    labels : 0 the background, every nucleus one connected piece with a number of its own.
    recipe : how it was made.
    """

    image: Float32[np.ndarray, "z y x"]
    labels: Int32[np.ndarray, "z y x"]
    recipe: Recipe

    @property
    def correlation(self) -> float:
        """Of the image with the mask of all nuclei; 0 where there are none."""
        return correlation(self.image, self.labels)


def random_specimen(
    rng: np.random.Generator,
    shape: Shape3,
    hardest: float = 1.0,
    shapes: AnyArray | None = None,
    real: float = 0.0,
) -> Specimen:
    """Draw a specimen of nuclei as nobody has seen it.

    Pictures of a correlation with their own mask below :data:`LEAST_CORRELATION` are taken again, with better optics.

    Parameters
    ----------
    rng : all randomness.
    shape : (z, y, x) in voxels; a typical nucleus is 14 across, others 6 to 32.
    hardest : greatest difficulty, 0 to 1.
    shapes : tables of real shapes (:func:`phantom.nuclei.shapes.shapes_of`).
    real : share of the specimens that take those shapes.

    Raises
    ------
    ConfigError : a shape below :data:`SMALLEST` voxels along an axis; a share outside [0, 1]; a share without shapes.
    """
    if min(shape) < SMALLEST:
        raise ConfigError(f"must be at least {SMALLEST} voxels along each axis", field="shape", value=shape)
    if real > 0 and (shapes is None or not len(shapes)):
        raise ConfigError("needs shapes", field="real", value=real, remedy="Give shapes, or real = 0")
    recipe = random_recipe(rng, hardest, real)
    return made(recipe, shape, rng, shapes)


def made(recipe: Recipe, shape: Shape3, rng: np.random.Generator, shapes: AnyArray | None = None) -> Specimen:
    """The specimen of a recipe; what it leaves open is drawn."""
    tables = no_shapes() if shapes is None else shapes
    nuclei = population(placed(shape, recipe.bodies, rng), recipe, len(tables), rng)
    body = drawn(nuclei, shape, tables, recipe.bodies.gap)
    for _ in range(TRIES):
        specimen = Specimen(seen(body, recipe, rng), body.labels, recipe)
        if not body.labels.any() or specimen.correlation >= LEAST_CORRELATION:
            break
        recipe = _clearer(recipe)
    return specimen


def correlation(image: AnyArray, labels: AnyArray) -> float:
    """Pearson's, of an image with the mask of its labels; 0 where either is constant."""
    mask = (labels > 0).ravel()
    share = float(mask.mean())
    flat = image.ravel()
    spread = float(flat.std()) * np.sqrt(share * (1 - share))
    return float((flat[mask].mean() - flat.mean()) * share / spread) if spread > 0 else 0.0


def _clearer(recipe: Recipe) -> Recipe:
    """The same specimen before better optics."""
    optics, stain = recipe.optics, recipe.stain
    optics = replace(
        optics,
        haze=optics.haze * EASIER,
        photons=optics.photons / EASIER,
        read=optics.read * EASIER,
        attenuation=optics.attenuation / EASIER,
    )
    stain = replace(
        stain, cytoplasm=stain.cytoplasm * EASIER, autofluorescence=stain.autofluorescence * EASIER, debris=0.0
    )
    return replace(recipe, optics=optics, stain=stain, difficulty=recipe.difficulty * EASIER)
