"""The size of a cell, estimated by a network that says the truth about separate balls."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from tracking3d.segment.network import guess as guess_module
from tracking3d.segment.network import scale
from tracking3d.segment.network.guess import Guess, guessed
from tracking3d.segment.network.heads import FOREGROUND, HEADS
from tracking3d.segment.network.scale import estimated_diameter_um
from tracking3d.segment.network.targets import targets
from tracking3d.segment.network.view import Read


class Truthful:
    """What is brighter than half is a cell, and all heads are right."""

    def maps(self, voxels: np.ndarray) -> np.ndarray:
        heads = targets(cc3d.connected_components(voxels > 0.5, connectivity=6))[:HEADS]
        heads[FOREGROUND] = 8 * heads[FOREGROUND] - 4
        return heads


def spheres(shape: tuple[int, int, int], spacing: tuple[float, float, float], diameter: float, pitch: float):
    """Balls on a lattice, and their voxels smoothed as a camera would: (z, y, x) of 0 to 1."""
    places = [(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)]
    away = [np.abs(place % pitch - pitch / 2) for place in places]
    z, y, x = np.meshgrid(*away, indexing="ij")
    return np.clip((diameter / 2 - np.sqrt(z**2 + y**2 + x**2)) / max(spacing) + 0.5, 0, 1)


def reading(voxels: np.ndarray) -> Read:
    return lambda ranges: voxels[tuple(slice(*side) for side in ranges)]


def estimated(voxels: np.ndarray, spacing: tuple[float, float, float]) -> float | None:
    return estimated_diameter_um(Truthful(), reading(voxels), voxels.shape, spacing)


CASES = {
    "as the network has it": ((66, 66, 66), (1.0, 1.0, 1.0), 14.0, 22.0),
    "small": ((48, 48, 48), (1.0, 1.0, 1.0), 7.0, 12.0),
    "large": ((96, 96, 96), (1.0, 1.0, 1.0), 34.0, 48.0),
    "coarse planes": ((20, 60, 60), (3.0, 1.0, 1.0), 18.0, 30.0),
    "microns": ((20, 60, 60), (0.9, 0.3, 0.3), 5.4, 9.0),
    "larger than what is seen at once": ((160, 160, 160), (1.0, 1.0, 1.0), 14.0, 20.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_truthful_network_gives_the_true_size(name: str) -> None:
    # Cells that the window cuts look smaller to a network that says only what it sees.
    shape, spacing, diameter, pitch = CASES[name]
    assert estimated(spheres(shape, spacing, diameter, pitch), spacing) == pytest.approx(diameter, rel=0.2)


def test_the_estimate_scales_with_the_voxels() -> None:
    voxels = spheres((36, 36, 36), (1.0, 1.0, 1.0), 12.0, 18.0)
    assert estimated(voxels, (5.0, 5.0, 5.0)) == pytest.approx(5 * estimated(voxels, (1.0, 1.0, 1.0)), rel=1e-6)


def test_brightness_does_not_matter_to_the_guess(rng: np.random.Generator) -> None:
    voxels = spheres((36, 36, 36), (1.0, 1.0, 1.0), 12.0, 18.0) + rng.normal(0, 0.05, (36, 36, 36))
    guesses = [guessed(reading(v), v.shape, (1.0,) * 3).diameter_um for v in (voxels, 300 + 9 * voxels)]
    assert guesses[0] == pytest.approx(guesses[1], rel=1e-3)
    assert 6 < guesses[0] < 24


def test_the_guess_of_a_large_volume_looks_where_light_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guess_module, "SEEN", 4_000)
    voxels = np.zeros((36, 300, 300), np.float32)
    voxels[:, 228:300, 18:90] = spheres((36, 72, 72), (1.0, 1.0, 1.0), 12.0, 18.0)
    guess = guessed(reading(voxels), voxels.shape, (1.0,) * 3)
    assert 5 < guess.diameter_um < 24
    assert guess.place[1] > 0.6
    assert guess.place[2] < 0.4


@pytest.mark.parametrize(("smear", "contrast"), [(0.0, 0.5), (1.0, 2.4)])
def test_noise_has_little_contrast(rng: np.random.Generator, smear: float, contrast: float) -> None:
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (48, 48, 48)), smear)
    balls = spheres((48, 48, 48), (1.0, 1.0, 1.0), 5.0, 9.0) * 8 * noise.std()
    assert guessed(reading(noise), noise.shape, (1.0,) * 3).contrast < contrast
    assert guessed(reading(noise + balls), noise.shape, (1.0,) * 3).contrast > 1.5 * contrast
    assert guessed(reading(balls), noise.shape, (1.0,) * 3).contrast == np.inf


@pytest.mark.parametrize(("contrast", "known"), [(1.0, False), (4.0, True)])
def test_the_smallest_cells_have_to_stand_out(monkeypatch: pytest.MonkeyPatch, contrast: float, known: bool) -> None:
    """At every scale the cells look smaller than they should."""
    trials = [scale.Trial(d, -0.1, 0.5, np.full(3, 0.5)) for d in (8.0, 5.6)]
    monkeypatch.setattr(scale, "_trials", lambda *_: iter(trials))
    monkeypatch.setattr(scale, "_again", lambda *given: given[2].diameter_um)
    monkeypatch.setattr(scale, "guessed", lambda *_: Guess(8.0, np.full(3, 0.5), contrast))
    found = estimated(np.zeros((20, 20, 20)), (1.0, 1.0, 1.0))
    assert (found is not None) == known
    assert found is None or 4 <= found < 8


def test_without_cells_there_is_no_size() -> None:
    class Blind:
        def maps(self, voxels: np.ndarray) -> np.ndarray:
            return np.full((HEADS, *voxels.shape), -4, np.float32)

    voxels = np.random.default_rng(0).random((30, 30, 30))
    assert estimated_diameter_um(Blind(), reading(voxels), voxels.shape, (1.0,) * 3) is None


def test_what_is_seen_at_the_scale_found_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the light is in a few large cells, which say the scale first; most cells are small."""
    monkeypatch.setattr(scale, "SEEN", 10**6)
    voxels = np.concatenate(
        [
            spheres((32, 32, 48), (1.0, 1.0, 1.0), 10.0, 16.0),
            spheres((32, 32, 64), (1.0, 1.0, 1.0), 20.0, 32.0),
        ],
        axis=2,
    )
    first: list[float] = []
    again = scale._again
    monkeypatch.setattr(scale, "_again", lambda *given: first.append(given[2].diameter_um) or again(*given))
    found = estimated(voxels, (1.0, 1.0, 1.0))
    assert first[0] > 15.0
    assert found == pytest.approx(np.sqrt(first[0] * 10.0), rel=0.05)
