"""A frame out of focus: every volume jumps at once, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import tracking3d


@pytest.mark.parametrize("jump", [0.5, 1.6, 3.0])
def test_a_jump_of_all_volumes_cuts_no_track_and_makes_no_division(rng: np.random.Generator, jump: float):
    """Ten sparse cells that hardly move, seen in 20 frames, as in a real movie whose focus slipped in frame 17."""
    frames, cells = 20, 10
    start = rng.uniform(0, 90, (cells, 3))
    places = start + np.cumsum(rng.normal(0, 0.6, (frames, cells, 3)), axis=0)
    volumes = rng.uniform(200, 500, cells) * np.exp(rng.normal(0, 0.08, (frames, cells)))
    volumes[17:] *= jump
    t = np.repeat(np.arange(frames), cells)
    tracks = tracking3d.link(tracking3d.Detections.of(t, places.reshape(-1, 3), volumes.ravel()))
    assert len(tracks.divisions) == 0
    assert tracks.parent.tolist() == [-1] * cells + list(range((frames - 1) * cells))
