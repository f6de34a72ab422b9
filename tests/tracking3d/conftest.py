"""Toy lineages, drawn: time runs to the right, a letter is a cell, ``·`` a frame in which a cell was missed.

    t     0   1   2   3   4   5
                   c---d---e---f        x = 6
                  /
          a---b--<                      x = 3
                  \\
                   g---·---h---i        x = 0
          p---q---r---s---u---v         x = 16
                      !                 x = 28, a false detection
"""

from __future__ import annotations

import numpy as np
import pytest

from tracking3d.detections import Detections
from tracking3d.tracks import Tracks

CELLS = {
    "a": (0, 3.0),
    "b": (1, 3.0),
    "c": (2, 5.0),
    "d": (3, 6.0),
    "e": (4, 6.0),
    "f": (5, 6.0),
    "g": (2, 1.0),
    "h": (4, 0.0),
    "i": (5, 0.0),
    "p": (0, 16.0),
    "q": (1, 16.0),
    "r": (2, 16.0),
    "s": (3, 16.0),
    "u": (4, 16.0),
    "v": (5, 16.0),
    "!": (3, 28.0),
}
"""Name: frame, x in µm; z and y are 0."""
LINKS = "ab bc bg cd de ef gh hi pq qr rs su uv"
NAMES = "".join(CELLS)


@pytest.fixture
def toy() -> Tracks:
    """The drawn lineages, their rows in the order of the names."""
    t, x = np.array(list(CELLS.values())).T
    zyx = np.column_stack([np.zeros_like(x), np.zeros_like(x), x])
    parent = np.full(len(CELLS), -1)
    for earlier, later in LINKS.split():
        parent[NAMES.index(later)] = NAMES.index(earlier)
    return Tracks(Detections.of(t.astype(int), zyx, dt_s=60.0), parent)


@pytest.fixture
def name_of():
    """Names of rows, as one string."""
    return lambda rows: "".join(NAMES[row] for row in np.ravel(rows))


@pytest.fixture
def embryo(rng: np.random.Generator) -> Tracks:
    """120 cells that flow and jitter for 12 frames, of which some divide: with the true parents and volumes."""
    return grown(rng)


@pytest.fixture
def growing():
    """What makes such an embryo from a generator."""
    return grown


def grown(rng: np.random.Generator, cells: int = 120, frames: int = 12, spacing: float = 10.0) -> Tracks:
    """Cells in a ball that turns slowly about z; 3 % divide in each frame, the daughters lying across."""
    side = spacing * cells ** (1 / 3)
    place = rng.uniform(0, side, (cells, 3))
    # Cells keep their distance: those too near to an earlier one are left out.
    apart = [i for i in range(cells) if (np.linalg.norm(place[:i] - place[i], axis=1) > 0.6 * spacing).all()]
    place, size = place[apart], np.full(len(apart), 300.0)
    rows = np.arange(len(place))
    t, zyx, volume, parent = [np.zeros(len(place), int)], [place], [size], [np.full(len(place), -1)]
    for frame in range(1, frames):
        splits = np.flatnonzero(rng.random(len(place)) < 0.03)
        across = rng.normal(0, 1, (len(splits), 3))
        across *= 0.3 * spacing / np.linalg.norm(across, axis=1, keepdims=True)
        stays = np.setdiff1d(np.arange(len(place)), splits)
        source = np.concatenate([stays, splits, splits])
        place = np.concatenate([place[stays], place[splits] + across, place[splits] - across])
        size = np.concatenate([size[stays], size[splits] / 2, size[splits] / 2])
        centred = place - side / 2
        place = place + 0.02 * centred[:, [0, 2, 1]] * [0, 1, -1] + rng.normal(0, 0.02 * spacing, place.shape)
        t.append(np.full(len(place), frame))
        zyx.append(place)
        volume.append(size * np.exp(rng.normal(0, 0.05, len(size))))
        parent.append(rows[source])
        rows = rows[-1] + 1 + np.arange(len(place))
    detections = Detections.of(np.concatenate(t), np.concatenate(zyx), np.concatenate(volume), dt_s=60.0)
    return Tracks(detections, np.concatenate(parent))
