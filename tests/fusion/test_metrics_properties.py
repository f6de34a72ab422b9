"""What must hold of any pictures: extremes, symmetry in the sources, scaling, and what each source keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from fusion.metrics import edges_kept, evaluate, lost_edges, mean_rank, per_source
from fusion.metrics.ranks import EIGHT
from volumes import from_array
from volumes.errors import ContentError, GridError, TableError

SHAPES = [(48, 50), (18, 42, 45)]


@pytest.fixture(params=SHAPES, ids=["2-D", "3-D"])
def three(request: pytest.FixtureRequest, rng: np.random.Generator) -> list[np.ndarray]:
    """Three unlike pictures in whole grey levels."""
    out = []
    for sigma in (1.0, 2.0, 0.8):
        values = gaussian_filter(rng.normal(size=request.param), sigma) ** 3
        out.append(np.rint(255 * (values - values.min()) / np.ptp(values)))
    return out


def test_a_copy_of_equal_sources_has_all_that_can_be_had(three: list[np.ndarray]) -> None:
    a = three[0]
    got = evaluate(a, [a, a])
    for key, most in {
        "VIF": 2,
        "NMI": 2,
        "SSIM_range2": 2,
        "SSIM_range255": 2,
        "MS_SSIM": 1,
        "FMI": 1,
        "CC": 1,
    }.items():
        assert got[key] == pytest.approx(most, rel=1e-7), key
    assert got["Qabf"] == pytest.approx(0.9994 * 0.9879 / (1 + np.exp(-7.5)) / (1 + np.exp(-4.4)), rel=1e-3)
    assert got["Q_NCIE"] > evaluate(a, [a, three[1]])["Q_NCIE"]
    assert got["PSNR"] == np.inf
    assert got["SCD"] == 0
    assert got["MI"] == pytest.approx(2 * got["EN"] * np.log(2))


def test_a_constant_has_nothing(three: list[np.ndarray]) -> None:
    got = evaluate(np.full(three[0].shape, 90.0), three)
    for key in ("EN", "SD", "SF", "AG", "MI", "NMI", "VIF", "FMI", "CC"):
        assert got[key] == pytest.approx(0, abs=1e-12), key
    # Around a bright picture, zeros are the published edge; around a black one there is none.
    assert evaluate(np.zeros(three[0].shape), three)["Qabf"] < 1e-3
    assert all(np.isfinite(value) for value in got.values())
    assert evaluate(np.zeros(three[0].shape), three)["PSNR"] == -np.inf


def test_the_order_of_the_sources_makes_no_difference(three: list[np.ndarray]) -> None:
    fused = np.rint(np.mean(three, axis=0))
    assert evaluate(fused, three[::-1]) == pytest.approx(evaluate(fused, three), rel=1e-12)
    there, back = per_source(fused, three), per_source(fused, three[::-1])
    assert {key: values[::-1] for key, values in back.items()} == there


def test_sums_grow_with_the_sources_and_means_do_not(three: list[np.ndarray]) -> None:
    a, b, _ = three
    fused = np.maximum(a, b)
    two, four = evaluate(fused, [a, b]), evaluate(fused, [a, b, a, b])
    for key in ("MI", "NMI", "VIF", "SSIM_range2", "SSIM_range255"):
        assert four[key] == pytest.approx(2 * two[key]), key
    for key in ("EN", "SD", "SF", "AG", "Qabf", "MS_SSIM", "FMI", "CC", "PSNR"):
        assert four[key] == pytest.approx(two[key]), key


def test_scd_of_three_is_the_mean_over_the_others(three: list[np.ndarray]) -> None:
    def r(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])

    a, b, c = three
    fused = np.rint(0.5 * a + 0.3 * b + 0.2 * c)
    want = (
        r(a, fused - b) + r(a, fused - c) + r(b, fused - a) + r(b, fused - c) + r(c, fused - a) + r(c, fused - b)
    ) / 2
    assert evaluate(fused, three)["SCD"] == pytest.approx(want)


def test_a_view_from_another_side_scores_the_same(three: list[np.ndarray]) -> None:
    """Mirrored along all axes, all but FMI, whose windows are read in one direction; transposed, of cubic voxels."""
    a, b, _ = three
    fused = np.maximum(a, b)
    want = evaluate(fused, [a, b])
    mirrored = evaluate(np.flip(fused), [np.flip(a), np.flip(b)])
    for key in set(want) - {"FMI", "VIF", "MS_SSIM"}:  # of an even size VIF and MS-SSIM drop voxels at one end
        assert mirrored[key] == pytest.approx(want[key]), key
    transposed = evaluate(fused.T, [a.T, b.T])
    for key in set(want) - {"FMI", "Qabf"}:  # Qabf's published angle is not the same about both diagonals
        assert transposed[key] == pytest.approx(want[key]), key


def test_gradients_are_per_step_of_the_finest_axis(rng: np.random.Generator) -> None:
    """A ramp along z of 4 a voxel is as steep as one of 1 along x, once voxels are four times as deep."""
    z, _, x = np.indices((20, 24, 26)).astype(float)
    noise = rng.integers(0, 9, x.shape)
    along_z, along_x = evaluate(4 * z, [noise, noise], (2.0, 0.5, 0.5)), evaluate(x, [noise, noise], (2.0, 0.5, 0.5))
    assert along_z["SF"] == pytest.approx(along_x["SF"])
    assert along_z["AG"] == pytest.approx(along_x["AG"])
    assert evaluate(4 * z, [noise, noise])["SF"] == pytest.approx(4 * along_x["SF"])


def test_each_source_apart_shows_who_was_copied(three: list[np.ndarray]) -> None:
    a, b, _ = three
    got = per_source(a, [a, b])
    assert got["VIF"][0] == pytest.approx(1)
    assert got["VIF"][1] < 0.2
    assert got["Qabf"][0] > 2 * got["Qabf"][1]
    assert got["edges_lost"][0] == 0
    assert got["edges_lost"][1] > 0.3
    assert per_source(a, [a])["edges_lost"] == [0]


def test_lost_edges_are_those_below_three_tenths() -> None:
    """Half of the columns at 0.29 of their height, half at 0.31; steps along y of equal height everywhere."""
    step = np.where(np.arange(40)[:, None] < 20, 0.0, 100.0) * np.ones(40)
    faint = step * np.where(np.arange(40) < 10, 0.29, 0.31)
    assert lost_edges(faint, [step]) == [0.25]
    assert lost_edges(step, [step, step[::-1]]) == [0, 0]
    assert lost_edges(np.zeros((40, 40)), [step]) == [1]
    with pytest.raises(ContentError, match=r"sources\[1\]: has no edge"):
        lost_edges(step, [step, 0 * step])
    with pytest.raises(GridError, match="shape"):
        lost_edges(step, [step[:-1]])


def test_lost_and_kept_are_one_convention(three: list[np.ndarray]) -> None:
    """Arrays and volumes of the same numbers: what is not lost is kept."""
    spacing = (2.0, 1.0, 1.0)[-three[0].ndim :]
    fused = np.maximum(three[0], three[1])
    volumes = [from_array(np.atleast_3d(v.T).T, (2.0, 1.0, 1.0), modality="CT") for v in (fused, *three)]
    kept = edges_kept(volumes[0], volumes[1:], match="none")
    assert 1 - np.array(lost_edges(fused, three, spacing)) == pytest.approx(kept, abs=1e-12)


def test_lost_edges_weigh_axes_by_their_spacing() -> None:
    """A ramp across z (steep a voxel, flat a µm) and one across x: which of them are the strong ones depends on µm."""
    z, _, x = np.indices((10, 20, 30)).astype(float)
    source, without_z = 2 * z + np.where(x < 15, 0, 1.5 * (x - 15)), np.where(x < 15, 0, 1.5 * (x - 15))
    assert lost_edges(without_z, [source], (1.0, 1.0, 1.0)) == [0]
    assert lost_edges(2 * z, [source], (9.0, 1.0, 1.0)) == [1]


def test_mean_rank_by_hand() -> None:
    table = {
        "best": {"SD": 3.0, "VIF": 0.9, "edges_lost": 0.1},
        "tied": {"SD": 3.0, "VIF": 0.5, "edges_lost": 0.1},
        "last": {"SD": 1.0, "VIF": 0.7, "edges_lost": 0.9},
    }
    assert mean_rank(table) == pytest.approx({"best": (1.5 + 1 + 1.5) / 3, "tied": (1.5 + 3 + 1.5) / 3, "last": 8 / 3})
    assert mean_rank(pd.DataFrame(table).T) == pytest.approx(mean_rank(table))
    assert mean_rank(table, ["VIF"]) == {"best": 1, "last": 2, "tied": 3}
    assert sum(mean_rank(table).values()) == pytest.approx(6)


def test_mean_rank_takes_the_published_eight(three: list[np.ndarray]) -> None:
    a, b, _ = three
    table = {"max": evaluate(np.maximum(a, b), [a, b]), "mean": evaluate(np.rint((a + b) / 2), [a, b])}
    ranks = mean_rank(table, EIGHT)
    wins = sum(table["max"][key] > table["mean"][key] for key in EIGHT)
    assert ranks == {
        "max": pytest.approx((wins + 2 * (8 - wins)) / 8),
        "mean": pytest.approx((2 * wins + 8 - wins) / 8),
    }


def test_an_incomplete_table_is_refused() -> None:
    with pytest.raises(TableError, match=r"b\.VIF: is missing or NaN"):
        mean_rank({"a": {"VIF": 1.0}, "b": {"SD": 1.0}})
    with pytest.raises(TableError, match="missing or NaN"):
        mean_rank({"a": {"VIF": float("nan")}})
    with pytest.raises(TableError, match="nothing to rank"):
        mean_rank({})
