"""What may be compared, and what is refused; colours as grey."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.metrics import evaluate, grey, per_source
from fusion.metrics.levels import levels, rounded, window_axes
from volumes.errors import ConfigError, ContentError, FusetrackError, GridError

SHAPE = (48, 50)


@pytest.fixture
def pair(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, SHAPE).astype(np.uint8) for _ in range(2)]


def test_a_stack_of_one_slice_is_a_picture(pair: list[np.ndarray]) -> None:
    fused = np.maximum(*pair)
    flat = evaluate(fused, pair, spacing=(0.5, 0.5))
    assert evaluate(fused[None], [p[None] for p in pair], spacing=(3.0, 0.5, 0.5)) == flat
    assert evaluate(fused[:, None], [p[:, None] for p in pair]) == evaluate(fused, pair)
    assert per_source(fused[None], [p[None] for p in pair]) == per_source(fused, pair)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_the_type_of_number_makes_no_difference(pair: list[np.ndarray], kind: type) -> None:
    fused = np.maximum(*pair)
    assert evaluate(fused.astype(kind), [p.astype(kind) for p in pair]) == evaluate(fused, pair)


def test_steps_are_multiples_of_the_finest() -> None:
    volume = np.arange(4 * 5 * 6, dtype=float).reshape(4, 5, 6)
    assert levels(volume, [volume], (3.0, 0.5, 1.0)).steps == (6.0, 1.0, 2.0)
    assert levels(volume, [volume]).steps == (1.0, 1.0, 1.0)
    assert levels(volume[:1], [volume[:1]], (0.1, 0.5, 1.0)).steps == (1.0, 2.0)


def test_windows_leave_out_what_is_short_or_coarse() -> None:
    assert window_axes((50, 50, 50), (1.0, 1.0, 1.0), 7) == (0, 1, 2)
    assert window_axes((5, 50, 50), (1.0, 1.0, 1.0), 7) == (1, 2)
    assert window_axes((50, 50, 50), (1.5, 1.0, 1.0), 7) == (1, 2)
    assert window_axes((50, 50, 50), (1.4, 1.0, 1.0), 7) == (0, 1, 2)


def test_rounding_is_half_to_even() -> None:
    assert rounded(np.array([0.5, 1.5, 2.5, 254.5, 255.0])).tolist() == [0, 2, 2, 254, 255]


NAN = np.full(SHAPE, np.nan)


@pytest.mark.parametrize(
    ("fused", "sources", "error", "words"),
    [
        (np.zeros(SHAPE), [np.zeros((48, 51)), np.zeros(SHAPE)], GridError, r"sources\[0\]: has shape \(48, 51\)"),
        (NAN, [np.eye(48, 50)] * 2, ContentError, "fused: holds NaN"),
        (np.full(SHAPE, -1.0), [np.eye(48, 50)] * 2, ContentError, r"fused: leaves 0–255 .*clip"),
        (np.full(SHAPE, 300), [np.eye(48, 50)] * 2, ContentError, "leaves 0–255"),
        (np.eye(48, 50), [np.eye(48, 50)] * 2, ContentError, "never passes 1 anywhere.*times 255"),
        (np.eye(48, 50) * 9, [np.eye(48, 50) * 9, np.full(SHAPE, 7)], ContentError, r"sources\[1\]: is constant"),
        (np.zeros((48, 50, 3, 1)), [np.zeros((48, 50, 3, 1))], ContentError, "neither a picture nor a volume.*grey"),
        (np.zeros((48, 50, 3)), [np.zeros((48, 50, 3))], ContentError, "neither a picture nor a volume.*grey"),
        (np.zeros((1, 1, 50)), [np.zeros((1, 1, 50))], ContentError, "fewer than two axes"),
        (np.eye(48, 50) > 0, [np.eye(48, 50) > 0] * 2, ContentError, "real numbers"),
        (np.eye(48, 50) * 9, [], ConfigError, "at least one source"),
        (np.eye(48, 50) * 9, [np.eye(48, 50) * 9], ConfigError, "SCD needs two sources"),
        (np.eye(12, 12) * 9, [np.eye(12, 12) * 9] * 2, ContentError, "VIF needs two axes of 17 voxels"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    fused: np.ndarray, sources: list[np.ndarray], error: type[FusetrackError], words: str
) -> None:
    with pytest.raises(error, match=words):
        evaluate(fused, sources)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, np.nan), (1.0, 1.0, 1.0)])
def test_a_spacing_is_one_length_for_each_axis(pair: list[np.ndarray], spacing: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="one length above zero for each axis"):
        evaluate(pair[0], pair, spacing)


def test_grey_is_the_floor_of_the_exact_sum(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)
    red, green, blue = (rgb[..., i].astype(int) for i in range(3))
    want = (299 * red + 587 * green + 114 * blue) // 1000
    assert grey(rgb).dtype == np.uint8
    np.testing.assert_array_equal(grey(rgb), want)
    np.testing.assert_array_equal(grey(rgb.astype(float)), want)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_a_grey_stays_what_it_is(kind: type) -> None:
    every = np.repeat(np.arange(256, dtype=kind)[:, None], 3, axis=1)
    np.testing.assert_array_equal(grey(every), np.arange(256))


def test_only_three_colours_are_a_colour() -> None:
    with pytest.raises(ContentError, match="transparency"):
        grey(np.zeros((4, 4, 4), np.uint8))
