"""Detections are as wrong as was asked, and in no other way."""

import numpy as np
import pytest

from phantom import observed, read_lineage
from volumes.errors import ConfigError, TableError

N, FRAMES, GAP = 20_000, 40, 10.0


@pytest.fixture(scope="module")
def truth():
    """Cells on a cubic lattice in every frame: the nearest neighbour is GAP away."""
    cells = N // FRAMES
    lattice = np.stack(np.unravel_index(np.arange(cells), (8, 8, 8)), -1) * GAP
    t = np.repeat(np.arange(FRAMES), cells)
    parent = np.where(t > 0, np.arange(N) - cells, -1)
    return t, np.tile(lattice, (FRAMES, 1)), parent, np.random.default_rng(1).uniform(3, 5, N)


def within(count, n, p):
    """Whether a binomial count is within 5 standard deviations of its mean."""
    return abs(count - n * p) < 5 * np.sqrt(n * p * (1 - p))


def test_without_degradation_every_cell_is_found_where_it_is(truth):
    t, zyx, _, _ = truth
    seen = observed(*truth, drop=0, false=0, jitter_um=0)
    np.testing.assert_array_equal(np.sort(seen.node), np.arange(N))
    np.testing.assert_array_equal(seen.zyx_um, zyx[seen.node])
    np.testing.assert_array_equal(seen.t, t[seen.node])


def test_frames_are_in_order_and_shuffled_within(truth):
    seen = observed(*truth, drop=0, false=0, jitter_um=0)
    assert (np.diff(seen.t) >= 0).all()
    first = seen.node[seen.t == 0]
    assert (np.diff(first) < 0).mean() == pytest.approx(0.5, abs=0.1)


def test_drop_outs_and_false_positives_are_as_many_as_asked(truth):
    seen = observed(*truth, drop=0.05, false=0.02)
    assert within((seen.node >= 0).sum(), N, 0.95)
    assert within((seen.node < 0).sum(), N, 0.02)
    found = seen.node[seen.node >= 0]
    assert len(np.unique(found)) == len(found)


def test_jitter_is_gaussian_along_each_axis(truth):
    seen = observed(*truth, drop=0, false=0, jitter_um=0.7)
    off = seen.zyx_um - truth[1][seen.node]
    np.testing.assert_allclose(off.std(0), 0.7, rtol=0.03)
    np.testing.assert_allclose(off.mean(0), 0, atol=5 * 0.7 / np.sqrt(N))
    assert np.mean(np.abs(off) < 0.7) == pytest.approx(0.6827, abs=0.01)


def test_volumes_are_those_of_the_radii_with_ten_percent_noise(truth):
    seen = observed(*truth, drop=0, false=0.1)
    real = seen.node >= 0
    ratio = np.log(seen.volume_um3[real] / (4 / 3 * np.pi * truth[3][seen.node[real]] ** 3))
    assert ratio.std() == pytest.approx(0.1, rel=0.03)
    assert abs(ratio.mean()) < 0.005
    lent = np.cbrt(seen.volume_um3[~real] * 3 / (4 * np.pi))
    assert lent.mean() == pytest.approx(truth[3].mean(), rel=0.02)
    assert lent.min() > 3 * 0.85
    assert lent.max() < 5 * 1.15


def test_without_radii_volumes_are_unknown(truth):
    assert np.isnan(observed(*truth[:3], None).volume_um3).all()


def test_false_positives_lie_about_one_neighbour_distance_from_a_cell(truth):
    seen = observed(*truth, drop=0, false=0.2, jitter_um=0)
    lies = seen.zyx_um[seen.node < 0]
    whole = np.clip(np.rint(lies / GAP), 0, 7) * GAP
    assert 0.2 * GAP < np.median(np.linalg.norm(lies - whole, axis=1)) < GAP
    assert lies.min() > -6 * GAP
    assert lies.std(0) == pytest.approx(np.sqrt(truth[1].var(0) + GAP**2), rel=0.05)


def test_the_draws_are_independent(truth):
    few, many = (observed(*truth, drop=drop, false=0.02, seed=5) for drop in (0.05, 0.3))
    assert set(many.node) <= set(few.node)
    place = {node: tuple(zyx) for node, zyx in zip(few.node, few.zyx_um, strict=True) if node >= 0}
    assert all(place[n] == tuple(p) for n, p in zip(many.node, many.zyx_um, strict=True) if n >= 0)
    lies = [np.sort(seen.zyx_um[seen.node < 0], axis=0) for seen in (few, many)]
    np.testing.assert_array_equal(*lies)


def test_a_seed_gives_the_same_again(truth):
    one, again, other = (observed(*truth, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.zyx_um, again.zyx_um)
    np.testing.assert_array_equal(one.volume_um3, again.volume_um3)
    assert len(one.t) != len(other.t) or (one.zyx_um != other.zyx_um).any()


@pytest.mark.parametrize(
    ("name", "bad"), [("drop", 1.0), ("drop", -0.1), ("false", np.nan), ("jitter_um", -1.0), ("jitter_um", np.inf)]
)
def test_a_share_that_cannot_be_is_refused(truth, name, bad):
    with pytest.raises(ConfigError, match=name):
        observed(*truth, **{name: bad})


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(TableError, match="length"):
        observed([0, 1], np.zeros((3, 3)), [-1, 0], None)
    with pytest.raises(TableError, match="length"):
        observed([0, 1], np.zeros((2, 3)), [-1, 0], [1.0])


def test_false_positives_need_a_neighbour_distance():
    alone = (np.arange(200), np.zeros((200, 3)), np.arange(-1, 199), None)
    with pytest.raises(TableError, match="two cells"):
        observed(*alone, false=0.5)
    assert len(observed(*alone, drop=0, false=0).t) == 200


def test_a_real_embryo_is_degraded(data):
    lineage = read_lineage(data / "tracking" / "lineages" / "phallusia_Pm03.csv.gz")
    seen = observed(lineage.t, lineage.zyx, lineage.parent, lineage.radius)
    assert within((seen.node >= 0).sum(), len(lineage), 0.95)
    np.testing.assert_array_equal(seen.t[seen.node >= 0], lineage.t[seen.node[seen.node >= 0]])
