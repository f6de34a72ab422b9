"""How large the cells of an image are, from what the network says of it at several scales.

At the right scale the cells that it finds are 14 voxels across, and so it says. Seen too finely they are larger, seen
too coarsely smaller; where that turns from one to the other is the scale sought. (Cellpose estimates the size once and
looks again: Stringer et al. 2021, "Cellpose: a generalist algorithm for cellular segmentation".) Scales are tried from
coarse to fine, each √2 finer, around a first guess that needs no network: the depth of what is brighter than the rest.
There the network looks once more: how large the cells are of which it is sure then counts as much as the scale.
What is too large to be seen as a whole is seen in a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tracking3d.segment.network.decode import Instances, instances, smallest_voxels, smoothed
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.edges import edged
from tracking3d.segment.network.guess import SEEN, Guess, finest, guessed
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, SIZE
from tracking3d.segment.network.inference import Predictor
from tracking3d.segment.network.view import Ranges, Read, View, each
from volumes.shapes import Shape3, Triple, Voxels

STEP = math.sqrt(2)
COARSER, FINER = 2.0, 3.0
"""How much larger and smaller than the first guess a cell may be."""
SMALLEST = 4.0
"""Voxels of the image across a cell, at least: what is smaller has no shape."""
NEAR = 56
"""Cells are around each other within so many of the network's voxels."""
MORE = 4
"""How many times as much it sees when it looks once more."""
SETTINGS = DecoderConfig()
ALL = SETTINGS.model_copy(update={"confidence": 0.0})
"""Off the right scale the network is less sure of its cells; all of them count."""
FEW = 3
"""Cells from which a second look is believed."""
CUT = 0.25
"""Weight of a cell that the window cuts: it is larger than it looks, but without it the small ones would decide."""
CLEAR = 2.5
"""By how many standard deviations of the noise the smallest cells are brighter than what is around them. Of white noise
Otsu's threshold makes steps of 0.3, of noise that is smeared by σ = 1 voxel steps of 2."""
SURE = 0.35
"""Confidence of the cells from which a scale may be right."""


@dataclass(frozen=True)
class Trial:
    """What was seen at one scale.

    Parameters
    ----------
    diameter_um : at which the network looked.
    excess : ln of how much larger than that the cells are; above 0 the scale is too fine.
    confidence : median over the cells' voxels of their cell's; 0 where there is none.
    place : where most cells were seen (z, y, x) in shares of the extents; None where there was none.
    """

    diameter_um: float
    excess: float
    confidence: float
    place: NDArray[np.float64] | None = None

    @property
    def implied_um(self) -> float:
        """The diameter of the cells that were seen."""
        return self.diameter_um * math.exp(self.excess)


def estimated_diameter_um(predictor: Predictor, read: Read, shape: Shape3, spacing_um: Triple) -> float | None:
    """The diameter of a typical cell, as a ball of its volume; None where nothing looks like a cell."""
    least = SMALLEST * finest(shape, spacing_um)
    tried: list[Trial] = []
    guess = guessed(read, shape, spacing_um)
    found = _found(_trials(predictor, read, shape, spacing_um, guess), tried)
    # Noise looks like cells of the size of its grain, whatever the scale; cells that small stand out from it.
    grain = not tried or (tried[-1].diameter_um < STEP * least and tried[-1].excess < 0)
    if found is None or (grain and guess.contrast < CLEAR):
        return None
    trials = [trial for trial in tried if trial.place is not None]
    nearest = min(trials, key=lambda trial: abs(math.log(trial.diameter_um / found)))
    return max(_again(predictor, read, View(shape, spacing_um, max(found, least)), nearest.place), least)


def _again(predictor: Predictor, read: Read, view: View, place: NDArray[np.float64] | None) -> float:
    """Halfway from the scale found to the median diameter of the cells seen there; at most one step from it."""
    ranges = _window(view.coarse, place, MORE * SEEN)
    look = _look(predictor, read, view, ranges, view.bounds(read), SETTINGS)
    sizes = look.cells.voxels[look.whole]
    if len(sizes) < FEW:
        return view.diameter_um
    # Cells that the image's faces cut are among them, and look small: the scale found counts as much.
    excess = math.log(np.cbrt(6 / np.pi * float(np.median(sizes))) / DIAMETER) / 2
    return view.diameter_um * math.exp(min(max(excess, -math.log(STEP)), math.log(STEP)))


def _found(trials: Iterator[Trial], tried: list[Trial]) -> float | None:
    """The first turn that the next finer trial confirms; without one, what the most confident trial implies."""
    for trial in trials:
        tried.append(trial)
        # A clump seen from afar looks like a cell too, but not at the next scale.
        if len(tried) > 2 and trial.excess > 0 and _turns(*tried[-3:-1]):
            return _turn(*tried[-3:-1])
    if len(tried) > 1 and _turns(*tried[-2:]):
        return _turn(*tried[-2:])
    return _best(tried)


def _turns(coarse: Trial, fine: Trial) -> bool:
    """Whether the cells turn from too small to too large between two trials that saw some."""
    return coarse.excess < 0 <= fine.excess and min(coarse.confidence, fine.confidence) >= SURE


def _turn(coarse: Trial, fine: Trial) -> float:
    """The diameter at which they turn; linear in the logarithms."""
    share = fine.excess / (fine.excess - coarse.excess)
    return fine.diameter_um * math.exp(share * math.log(coarse.diameter_um / fine.diameter_um))


def _best(tried: list[Trial]) -> float | None:
    """Without a turn: what the most confident trial implies."""
    seen = [trial for trial in tried if trial.confidence > 0]
    return max(seen, key=lambda trial: trial.confidence).implied_um if seen else None


def _trials(predictor: Predictor, read: Read, shape: Shape3, spacing_um: Triple, first: Guess) -> Iterator[Trial]:
    least_um = SMALLEST * finest(shape, spacing_um)
    guess, place = max(first.diameter_um, least_um), first.place
    bounds: tuple[float, float] | None = None
    for k in range(math.floor(math.log(COARSER * FINER, STEP)) + 1):
        view = View(shape, spacing_um, COARSER * guess / STEP**k)
        if view.diameter_um < least_um:
            return
        if bounds is None or math.prod(view.coarse) <= SEEN:
            bounds = view.bounds(read)
        ranges = _window(view.coarse, place, SEEN)
        trial = _judged(view.diameter_um, _look(predictor, read, view, ranges, bounds, ALL))
        place = place if trial.place is None else trial.place
        yield trial


@dataclass(frozen=True, eq=False)
class _Look:
    """What the network says of a window: the size (z, y, x), the cells, which of them are whole, where most lie."""

    size: Voxels
    cells: Instances
    whole: NDArray[np.bool_]
    place: NDArray[np.float64] | None


def _look(
    predictor: Predictor,
    read: Read,
    view: View,
    ranges: Ranges,
    bounds: tuple[float, float],
    settings: DecoderConfig,
) -> _Look:
    shown = view.shown(read, ranges, bounds)
    heads = predictor.maps(shown)
    logit = edged(heads, shown, settings.light)
    cells = instances(logit, smoothed(heads[DISTANCE]), settings, smallest_voxels(DIAMETER))
    middle = None
    if len(cells.voxels):
        middle = (_middle(cells) + [first for first, _ in ranges] + 0.5) / view.coarse
    return _Look(heads[SIZE], cells, _whole(cells.labels, ranges, view.coarse), middle)


def _whole(labels: NDArray[np.int32], ranges: Ranges, coarse: Shape3) -> NDArray[np.bool_]:
    """Which cells the window does not cut; the image's own faces do not count."""
    whole = np.ones(int(labels.max(initial=0)) + 1, bool)
    for axis, ((begin, end), size) in enumerate(zip(ranges, coarse, strict=True)):
        if begin > 0:
            whole[labels.take(0, axis)] = False
        if end < size:
            whole[labels.take(-1, axis)] = False
    return whole[1:]


def _judged(diameter: float, look: _Look) -> Trial:
    """Small and uncertain cells count less: many specks do not make a speck typical."""
    cells = look.cells
    if not len(cells.voxels):
        return Trial(diameter, 0.0, 0.0)
    said = ndimage.mean(look.size, cells.labels, np.arange(1, len(cells.voxels) + 1))
    seen = np.log(np.cbrt(6 / np.pi * cells.voxels) / DIAMETER)
    weight = cells.voxels * cells.confidence**2 * np.where(look.whole, 1, CUT)
    excess = (_median(np.asarray(said), weight) + _median(seen, weight)) / 2
    return Trial(diameter, excess, _median(cells.confidence, cells.voxels), look.place)


def _median(values: NDArray[np.float64], weights: NDArray[np.generic]) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)])


def _middle(cells: Instances) -> NDArray[np.float64]:
    """The cell with most others around it, a confident one counting more."""
    away = np.linalg.norm(cells.centre[:, None] - cells.centre, axis=-1)
    crowd = (np.exp(-((away / NEAR) ** 2) * 4) * cells.confidence).sum(1)
    middle: NDArray[np.float64] = cells.centre[int(np.argmax(crowd))]
    return middle


def _window(coarse: Shape3, place: NDArray[np.float64] | None, seen: int) -> Ranges:
    """All of a grid of so many voxels; of a larger one a window about a place, given in shares of the extents."""
    if math.prod(coarse) <= seen:
        return each(lambda n: (0, n), coarse)
    about: list[float] = [0.5] * 3 if place is None else place.tolist()
    # Axes shorter than the window leave more of it to the others.
    deep = int(math.cbrt(seen))
    side = int(deep / math.sqrt(min(coarse[0], deep) / deep))
    return each(lambda n, share, length: _held(n, share, length), coarse, about, (deep, side, side))


def _held(size: int, share: float, length: int) -> tuple[int, int]:
    begin = int(min(max(share * size - length / 2, 0), max(size - length, 0)))
    return begin, min(begin + length, size)
