"""From a search to a pose: the best views of a coarse search refined, and those that may still win at finer pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from registration.linear.rotations import spread_rotations
from registration.projection.cloud import Model, Specimen
from registration.projection.fit import Scene, View
from registration.projection.picture import Picture, Screen
from registration.projection.refine import Free, Refined, refine
from registration.projection.search import Seen, searched
from volumes.shapes import Matrix3

SEARCHED, COARSE, FINER = 5.0, 8.0, (16.0, 24.0)
"""Pixels to the specimen's radius: in the search, when its best are first refined, and after."""
STEPS_COARSE, STEPS = 12, 20
"""Steps of a refinement at most."""
SEARCH_APART, START_APART, APART = 0.2, 0.15, 0.15
"""Views nearer than this share of the radius count as one: in the search, after it, and once refined."""
CLOSER = 12
"""One in so many rotations of the search is looked at more closely."""
CORNER_DEG = 4.0
"""By how much it is then turned about each of the three axes at once."""
FINALISTS, RIVALS = 6, 3
"""How many are taken on from the coarse pixels, and to the finest."""
DETAIL = 0.25
"""Structures finer than this share of the radius count as detail."""
FIRST_FADING = 0.2
"""Attenuation times radius that an unknown attenuation is begun at."""
CHANCE_ROTATIONS = 300
"""Rotations that a picture of shuffled pixels is searched with."""
NUDGE_DEG = 6.0
"""How much a given start, and what the search refined to, are turned about each axis to leave a small peak."""
NUDGED = 2
"""How many of those that the search refined to."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Effort:
    """How much work is put in.

    Parameters
    ----------
    rotations : of the search.
    starts : of the search that are refined.
    finest_um : the finest pixels worked on.
    scale : whether the magnification is solved for.
    attenuation : µ, per µm; None to solve for it.
    seed : of the shuffled picture.
    """

    rotations: int
    starts: int
    finest_um: float
    scale: bool
    attenuation: float | None
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What the refinement came to.

    Parameters
    ----------
    scene : at the finest pixels.
    best : the view that explains most.
    others : different ones, each with the gain of the best over it (see :meth:`Fit.against`) where both were last seen.
    evaluations : projections drawn after the search.
    """

    scene: Scene
    best: Refined
    others: tuple[tuple[Refined, float], ...]
    evaluations: int


@dataclass(frozen=True)
class Stage:
    """A specimen before a picture."""

    specimen: Specimen
    picture: Picture
    model: Model
    effort: Effort

    @property
    def axes(self) -> Matrix3:
        """The picture's axes in the world."""
        return self.picture.grid.axes

    @property
    def solved(self) -> bool:
        """Whether the attenuation is solved for."""
        return self.model == "depth" and self.effort.attenuation is None

    def scene(self, pixel_um: float) -> Scene:
        """Both at about one resolution; pixels are no finer than the points are apart."""
        cloud = self.specimen.at(pixel_um)
        screen = self.picture.at(max(pixel_um, 0.8 * cloud.spacing_um))
        return Scene(cloud, screen, self.axes, self.model, DETAIL * self.specimen.radius_um)

    def pose(self, start: View | None) -> Outcome:
        """Search, or begin around ``start``; then refine."""
        radius = self.specimen.radius_um
        views = self._around(replace(start, attenuation=self._fading)) if start else self._searched()
        coarse = self.scene(max(radius / COARSE, self.effort.finest_um))
        tried = self._refined(coarse, views, STEPS_COARSE)
        best = self.distinct(tried, APART, NUDGED, _view)
        tried += self._refined(coarse, [view for one in best for view in self._around(one.view)[1:]], STEPS_COARSE)
        steps = sum(one.evaluations for one in tried)
        scene, dropped = coarse, []
        kept = self.distinct(sorted(tried, key=_left), APART, FINALISTS, _view)
        for pixel, count in zip(self._finer, (FINALISTS, RIVALS), strict=False):
            dropped += [(one, kept[0].fit.against(one.fit)) for one in kept[count:]]
            scene = self.scene(pixel)
            tried = self._refined(scene, [one.view for one in kept[:count]], STEPS)
            steps += sum(one.evaluations for one in tried)
            kept = self.distinct(tried, APART, count, _view)
        others = [*((one, kept[0].fit.against(one.fit)) for one in kept[1:]), *dropped]
        far = [(one, gain) for one, gain in others if self.apart_um(one.view, kept[0].view) > APART * radius]
        return Outcome(scene, kept[0], tuple(far), steps)

    def chance(self) -> float:
        """What a search finds in the picture's pixels when they are shuffled."""
        scene = self.scene(self.specimen.radius_um / SEARCHED)
        screen = scene.screen
        image = screen.image.copy()
        image[screen.known] = np.random.default_rng(self.effort.seed).permutation(image[screen.known])
        shuffled = Screen(image, screen.known, screen.pixel_um, screen.first_um)
        rotations = min(self.effort.rotations, CHANCE_ROTATIONS)
        best = searched(replace(scene, screen=shuffled), spread_rotations(rotations), self._fading)[0].view
        return replace(scene, screen=shuffled).fit(best).explained

    def apart_um(self, a: View, b: View) -> float:
        """The mean distance between where two views bring the specimen, depth about its middle counted."""
        turned = self.specimen.foreground_um @ (a.scale * a.rotation - b.scale * b.rotation).T @ self.axes
        turned[:, 1:] += a.shift_um - b.shift_um
        return float(np.linalg.norm(turned, axis=1).mean())

    def distinct(self, items: Iterable[Item], apart: float, count: int, view: Callable[[Item], View]) -> list[Item]:
        """The first ``count`` that differ by more than ``apart`` radii."""
        kept: list[Item] = []
        least = apart * self.specimen.radius_um
        for item in items:
            if len(kept) == count:
                break
            if all(self.apart_um(view(item), view(other)) > least for other in kept):
                kept.append(item)
        return kept

    @property
    def _finer(self) -> list[float]:
        """Pixels after the coarse ones, as far as they are finer."""
        out = [max(self.specimen.radius_um / COARSE, self.effort.finest_um)]
        for pixels in FINER:
            pixel = max(self.specimen.radius_um / pixels, self.effort.finest_um)
            if pixel < 0.85 * out[-1]:
                out.append(pixel)
        return out[1:]

    @property
    def _fading(self) -> float:
        if self.model != "depth":
            return 0.0
        given = self.effort.attenuation
        return FIRST_FADING / self.specimen.radius_um if given is None else given

    def _searched(self) -> list[View]:
        """The best of all rotations, then of smaller turns around the best."""
        scene = self.scene(self.specimen.radius_um / SEARCHED)
        found = searched(scene, spread_rotations(self.effort.rotations), self._fading)
        best = self.distinct(found, SEARCH_APART, max(1, self.effort.rotations // CLOSER), _seen)
        corners = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), -1).reshape(-1, 3) * np.deg2rad(CORNER_DEG)
        around = np.stack([one.view.turned(turn).rotation for one in best for turn in corners])
        closer = sorted([*best, *searched(scene, around, self._fading)], key=lambda one: -one.explained)
        return [one.view for one in self.distinct(closer, START_APART, self.effort.starts, _seen)]

    def _around(self, start: View) -> list[View]:
        turns = np.concatenate([np.eye(3), -np.eye(3)]) * np.deg2rad(NUDGE_DEG)
        return [start, *(start.turned(turn) for turn in turns)]

    def _refined(self, scene: Scene, views: list[View], steps: int) -> list[Refined]:
        free = Free(scale=self.effort.scale, attenuation=self.solved)
        refined = [refine(scene, view, self.specimen.radius_um, free, steps) for view in views]
        return sorted(refined, key=_left)


def _seen(seen: Seen) -> View:
    return seen.view


def _left(refined: Refined) -> float:
    return -refined.fit.explained


def _view(refined: Refined) -> View:
    return refined.view
