"""The statistics of realism, on stacks for which they are known."""

import numpy as np
import pytest

from experiments.bench.realism import Stack, markdown, table
from experiments.bench.realism import realism as measured


def realism(raw: np.ndarray, labels: np.ndarray):
    return measured(Stack("a stack", raw, labels, (1.0, 1.0, 1.0)))


@pytest.fixture
def block() -> np.ndarray:
    labels = np.zeros((20, 64, 64), np.uint8)
    labels[5:15, 8:24, 8:24] = 1
    labels[5:15, 36:52, 8:24] = 2
    labels[5:15, 20:36, 40:56] = 3
    return labels


def test_ratio_fill_correlation_and_spread_of_even_blocks(block):
    brightness = np.array([100.0, 180.0, 200.0, 220.0])
    found = realism(brightness[block], block)
    assert found.fill == pytest.approx(3 * 10 * 16 * 16 / block.size)
    assert found.ratio == pytest.approx(2.0)
    expected = np.corrcoef(brightness[block].ravel(), block.ravel() > 0)[0, 1]
    assert found.correlation == pytest.approx(expected)
    assert found.spread == pytest.approx(np.std([180, 200, 220]) / 100)
    assert found.noise == 0
    assert found.flat == 0
    assert found.watershed == 1


def test_noise_is_found_beside_edges(block, rng):
    raw = np.array([100.0, 200, 200, 200])[block] + 30 * rng.standard_normal(block.shape)
    assert realism(raw, block).noise == pytest.approx(0.3, rel=0.05)


def test_white_noise_has_a_level_spectrum_and_a_power_law_its_own_slope(block, rng):
    white = rng.standard_normal((20, 128, 128))
    mask = np.zeros(white.shape, np.uint8)
    mask[:, :64] = 1
    assert abs(realism(white + 10 * mask, mask).slope) > 0.5  # the step
    flat = realism(white + 1e-9 * mask, mask).slope
    assert abs(flat) < 0.1
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    frequency[0, 0] = 1
    steep = np.fft.ifft2(np.fft.fft2(white) * frequency**-1.25).real
    assert realism(steep, mask).slope == pytest.approx(-2.5, abs=0.15)


def test_a_ratio_of_hounsfield_units_and_a_spread_of_one_piece_are_left_out(block):
    found = realism(np.where(block > 0, 50.0, -1000.0), block > 0)
    rows = [("head, CT", found)]
    assert "| head, CT | – |" in markdown(rows)
    assert table(rows).splitlines()[1].startswith('"head, CT",nan,')
