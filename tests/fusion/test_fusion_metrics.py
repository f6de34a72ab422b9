"""The share of strong edges that fusion keeps, in cases whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

import fusion
from fusion.metrics import edges_kept
from volumes import Volume, from_array
from volumes.errors import ContentError, GridError

SHAPE = (6, 20, 40)


def bars(columns: slice, height: float, modality: str = "MRI", valid: np.ndarray | None = None) -> Volume:
    """One bright block over some columns of x, all of z and half of y."""
    data = np.zeros(SHAPE)
    data[:, 5:15, columns] = height
    return from_array(data, (3.0, 0.5, 0.5), modality=modality, valid=valid)


@pytest.fixture
def left() -> Volume:
    return bars(slice(5, 12), 1.0)


@pytest.fixture
def right() -> Volume:
    return bars(slice(25, 33), 1.0, "CT")


def test_a_copy_of_one_keeps_all_of_it_and_nothing_of_the_other(left: Volume, right: Volume) -> None:
    assert edges_kept(left, [left, right], match="none") == [1, 0]
    assert edges_kept(right, [left, right], match="none") == [0, 1]


def test_a_constant_keeps_nothing(left: Volume, right: Volume) -> None:
    assert edges_kept(left.with_data(np.full(SHAPE, 0.5)), [left, right]) == [0, 0]


def test_apart_from_each_other_mean_and_maximum_keep_both(left: Volume, right: Volume) -> None:
    assert edges_kept("max", [left, right]) == [1, 1]
    assert edges_kept("mean", [left, right]) == [1, 1]


def test_the_mean_of_four_loses_what_one_alone_shows(left: Volume, right: Volume) -> None:
    """A quarter is below three tenths, a third is not."""
    flat = bars(slice(25, 33), 1.0)
    assert edges_kept("mean", [left, right, flat, flat])[0] == 0
    assert edges_kept("mean", [left, right, flat])[0] == 1


def test_the_maximum_loses_what_lies_under_a_saturated_source(left: Volume) -> None:
    data = np.zeros(SHAPE)
    data[:, :, 2:16] = 2.0
    plateau = from_array(data, (3.0, 0.5, 0.5), modality="CT")
    assert edges_kept("max", [left, plateau], match="none") == [0, 1]


def test_an_edge_of_half_of_one_source_counts_half() -> None:
    """The fused volume shows the left flank as it is, the right one at a fifth of its height."""
    ramp = np.zeros(SHAPE)
    ramp[:, :, 10:] = 1
    ramp[:, :, 30:] = 0
    weak = np.where(np.arange(40) < 20, ramp, 0.8 + 0.2 * ramp)
    pair = [from_array(v, (3.0, 0.5, 0.5), modality="MRI") for v in (ramp, weak)]
    assert edges_kept(pair[1], [pair[0]], match="none") == [0.5]


def test_the_common_scale_is_taken_from_the_match(left: Volume, right: Volume) -> None:
    """Numbers a hundred times larger are no stronger edges once matched."""
    loud = right.with_data(100 * right.array)
    assert edges_kept(fusion.fuse([left, loud]), [left, loud]) == [1, 1]
    assert edges_kept(left, [left, loud], match="percentile")[0] == 0


def test_gradients_are_per_micrometre_not_per_voxel() -> None:
    """A ramp of 1 a voxel along z (3 µm) is flatter than one of 0.5 a voxel along x (0.5 µm)."""
    z, _, x = np.mgrid[:20, :20, :20].astype(float)
    data = np.where(x < 10, z, 10 * z.max() + 0.5 * x)
    volume = from_array(data[:, :, 12:], (3.0, 0.5, 0.5), modality="MRI")
    only_z = from_array((z * 1.0)[:, :, 12:], (3.0, 0.5, 0.5), modality="MRI")
    # |∇| is 1 per µm along x against 1/3 per µm along z: just kept; half as steep is lost.
    assert edges_kept(only_z, [volume], match="none") == [1]
    assert edges_kept(only_z.with_data(only_z.array / 2), [volume], match="none") == [0]


def test_edges_of_the_field_are_no_edges(left: Volume, right: Volume) -> None:
    """A source that ends inside its bright block has no edge there: the other flank alone is asked for."""
    valid = np.ones(SHAPE, bool)
    valid[:, :, 30:] = False
    cut = bars(slice(25, 33), 1.0, "CT", valid)
    flank = np.zeros(SHAPE)
    flank[:, 5:15, 25:] = 1.0
    kept = edges_kept(left.with_data(flank), [left, cut], match="none")
    assert kept == [0, 1]


def test_lpf_keeps_more_than_the_mean_where_one_is_fine_and_one_coarse(rng: np.random.Generator) -> None:
    _, y, x = np.mgrid[:8, :40, :40]
    fine = np.sin(1.6 * x) * np.sin(1.6 * y) + 0.02 * rng.normal(size=x.shape)
    block = ((y // 20 + x // 20) % 2).astype(float)
    pair = [from_array(v, (1.0, 1.0, 1.0), modality=m) for v, m in ((fine, "MRI"), (-fine + 3 * block, "CT"))]
    lpf, mean = edges_kept(fusion.fuse(pair), pair), edges_kept("mean", pair)
    assert sum(lpf) > sum(mean)


def test_what_cannot_be_judged_is_refused(left: Volume, right: Volume) -> None:
    flat = left.with_data(np.full(SHAPE, 2.0))
    with pytest.raises(ContentError, match=r"volumes\[1\]: has no edge"):
        edges_kept("mean", [left, flat], match="none")
    with pytest.raises(GridError, match="shape"):
        edges_kept(from_array(np.zeros((6, 20, 41)), (3.0, 0.5, 0.5), modality="MRI"), [left, right])
