"""The segmenter as users call it: whole and in blocks, numpy and zarr, and what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch

import tracking3d
import volumes
from phantom.nuclei import random_specimen
from tracking3d.match import score
from tracking3d.segment.blocks import cores
from tracking3d.segment.blockwise import segment_blockwise
from tracking3d.segment.network.architecture import SegResNetConfig, UNetConfig, architecture_of
from tracking3d.segment.network.build import build_network
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.inference import HALO, UNIT
from tracking3d.segment.network.prepare import finder_for, reader
from tracking3d.segment.network.segmenter import Cells, Network
from tracking3d.segment.network.window import WINDOW, _beyond, _stride
from volumes.errors import ConfigError, ContentError, OutputError, WeightsError
from volumes.volume import Channel, Volume, from_array
from volumes.weights import save_weights

SIZE = 14.0
Balls = Callable[..., np.ndarray]


def volume(voxels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), **kwargs: object) -> Volume:
    return from_array(voxels, spacing, modality="fluorescence", **kwargs)


def found(image: Volume, **settings: object) -> Cells:
    return Network(CellNetworkConfig(**{"diameter_um": SIZE, **settings})).cells(image)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a small network that knows nothing."""
    torch.manual_seed(0)
    config = UNetConfig(widths=(8, 8))
    path = tmp_path / "small.safetensors"
    save_weights(path, build_network(config), {"architecture": architecture_of(config), "format": "1"})
    return path


@pytest.mark.usefixtures("blurred")
class TestCells:
    """With a network that sees balls."""

    def test_balls_are_cells_with_a_certainty(self, balls: Balls) -> None:
        cells = found(volume(balls(80, 40)))
        labels = cells.labels.channel()
        assert labels.max() == len(cells.confidence) > 15
        assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
        assert ((cells.confidence > 0.2) & (cells.confidence <= 1)).all()
        assert cells.labels.data.dtype == np.uint16

    @pytest.mark.parametrize(("block", "spacing"), [(64, 1.0), (30, 1.0), (16, 0.4), (40, 2.0)])
    @pytest.mark.parametrize("shape", [(30, 36, 180), (98, 30, 98)])
    def test_blocks_find_what_the_whole_does(
        self, balls: Balls, shape: tuple[int, int, int], block: int, spacing: float
    ) -> None:
        image = volume(balls(shape, 50), (spacing,) * 3)
        whole, tiled = found(image, block=200), found(image, block=block)
        assert len(whole.confidence) > 5 or spacing != 1
        assert np.array_equal(whole.labels.channel(), tiled.labels.channel())
        assert np.allclose(whole.confidence, tiled.confidence, rtol=1e-6)

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
    @pytest.mark.parametrize("spacing", [1.0, 0.4])
    def test_a_zarr_is_worked_on_in_blocks(self, balls: Balls, tmp_path: Path, spacing: float, scheduler: str) -> None:
        image = volume(balls((30, 98, 180), 60), (spacing,) * 3, origin_um=(5.0, -3.0, 100.0))
        config = CellNetworkConfig(diameter_um=SIZE, block=48)
        table = segment_blockwise(image, tmp_path / "labels.ome.zarr", config, scheduler=scheduler)
        labels, whole = volumes.read(tmp_path / "labels.ome.zarr"), found(image)
        assert np.array_equal(whole.labels.channel(), labels.channel())
        assert np.allclose(whole.confidence, table.features["confidence"], rtol=1e-6)
        assert labels.grid.is_close(image.grid)
        known = tracking3d.detect(labels)
        assert np.array_equal(known.features["label"], table.features["label"])
        # Where cells are drawn on a coarser grid, faces of the image cut its voxels.
        assert np.allclose(known.zyx_um, table.zyx_um, atol=0.01 if spacing == 1 else 0.4)
        assert np.allclose(known.volume_um3, table.volume_um3, rtol=0.01 if spacing == 1 else 0.1)
        assert list(tmp_path.iterdir()) == [tmp_path / "labels.ome.zarr"]

    @pytest.mark.parametrize("scale", [0.2, 7.0])
    def test_only_the_ratio_of_cell_and_voxel_counts(self, balls: Balls, scale: float) -> None:
        voxels = balls(64, 20)
        here, there = found(volume(voxels)), found(volume(voxels, (scale,) * 3), diameter_um=SIZE * scale)
        assert np.array_equal(here.labels.channel(), there.labels.channel())

    @pytest.mark.parametrize(("gain", "shift"), [(100.0, 0.0), (0.01, -5.0)])
    def test_brightness_may_be_scaled_and_shifted(self, balls: Balls, gain: float, shift: float) -> None:
        voxels = balls(64, 20).astype(np.float64)
        here, there = found(volume(voxels)), found(volume(gain * voxels + shift))
        assert score(here.labels, there.labels, 0.9).ap == 1

    @pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
    def test_a_turned_volume_has_turned_cells(self, balls: Balls, axes: tuple[int, int]) -> None:
        voxels = balls(64, 20)
        here, there = found(volume(voxels)).labels.channel(), found(volume(np.rot90(voxels, 1, axes))).labels
        assert score(volume(np.rot90(here, 1, axes)), there, 0.9).ap == 1

    def test_coarse_planes_are_resampled(self, balls: Balls) -> None:
        voxels = balls(96, 60)
        thin = volume(voxels[1::3], (3.0, 1.0, 1.0), origin_um=(1.0, 0.0, 0.0))
        whole = found(volume(voxels)).labels.channel()[1::3]
        assert score(thin.with_data(whole), found(thin).labels, 0.5).ap > 0.9

    def test_very_fine_voxels_are_drawn_coarser(self, balls: Balls) -> None:
        voxels = balls(40, 8)
        fine = np.repeat(np.repeat(np.repeat(voxels, 4, 0), 4, 1), 4, 2)
        here = found(volume(voxels)).labels.channel()
        there = found(volume(fine, (0.25,) * 3)).labels.channel()
        assert score(volume(here), volume(there[1::4, 1::4, 1::4]), 0.7).ap == 1

    def test_the_same_volume_gives_the_same_labels(self, balls: Balls) -> None:
        image = volume(balls(64, 20))
        assert np.array_equal(found(image).labels.channel(), found(image).labels.channel())

    def test_a_movie_and_a_channel_go_through_segment(self, balls: Balls) -> None:
        dark = np.zeros_like(balls(48, 10))
        image = from_array(
            np.stack([dark, balls(48, 10)]),
            (1, 1, 1),
            modality="fluorescence",
            channels=[Channel("dark", "fluorescence"), Channel("nuclei", "fluorescence")],
        )
        labels = tracking3d.segment(image, CellNetworkConfig(diameter_um=SIZE), channel="nuclei")
        assert labels.channel().max() > 2

    def test_no_cell_is_a_result(self, rng: np.random.Generator, caplog: pytest.LogCaptureFixture) -> None:
        image = volume(np.where(np.indices((40, 40, 40)).sum(0) == 0, 1e4, rng.random((40, 40, 40))))
        with caplog.at_level(logging.WARNING):
            cells = found(image, foreground=0.99999)
        assert not cells.labels.channel().any()
        assert cells.confidence.shape == (0,)
        assert "no cell found" in caplog.text
        assert "large enough" in caplog.text

    def test_it_says_how_sure_the_network_was_at_most(
        self, balls: Balls, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        image = volume(balls(48, 10))
        best = found(image).confidence.max()
        with caplog.at_level(logging.WARNING):
            assert not len(found(image, confidence=0.99).confidence)
            config = CellNetworkConfig(diameter_um=SIZE, confidence=0.99)
            assert not len(segment_blockwise(image, tmp_path / "none.ome.zarr", config))
        assert caplog.text.count(f"reach {best:.2f}, and 0.99 is asked for") == 2

    @pytest.mark.parametrize(("spacing", "share"), [(1.0, 1.0), (14 / 8, 0.8**0.25), (14 / 5, 0.5**0.25)])
    def test_of_cells_of_few_voxels_less_is_asked(self, balls: Balls, spacing: float, share: float) -> None:
        finder = finder_for(CellNetworkConfig(diameter_um=SIZE), volume(balls(32, 4), (spacing,) * 3))
        assert finder is not None
        assert finder.sure == pytest.approx(CellNetworkConfig().confidence * share)

    def test_empty_blocks_leave_an_empty_file(self, rng: np.random.Generator, tmp_path: Path) -> None:
        image = volume(rng.random((30, 30, 30)))
        config = CellNetworkConfig(diameter_um=SIZE, foreground=0.99999)
        table = segment_blockwise(image, tmp_path / "none.ome.zarr", config)
        assert len(table) == 0
        assert not volumes.read(tmp_path / "none.ome.zarr").channel().any()

    def test_voxels_without_data_hold_no_cells(self, balls: Balls) -> None:
        voxels, valid = balls(64, 20), np.ones((64, 64, 64), bool)
        valid[:, :, :30] = False
        cells = found(volume(np.where(valid, voxels, np.nan), valid=valid)).labels.channel()
        assert not cells[:, :, :26].any()
        assert cells.any()

    @pytest.mark.parametrize("spacing", [1.0, 0.4])
    def test_blocks_agree_beside_voxels_without_data(self, balls: Balls, spacing: float) -> None:
        voxels, valid = balls((40, 60, 90), 60), np.ones((40, 60, 90), bool)
        valid[:, 20:45, 30:50] = False
        voxels[:, :, :40] += 0.5
        image = volume(np.where(valid, voxels, np.nan), (spacing,) * 3, valid=valid)
        whole, tiled = found(image, block=200), found(image, block=20)
        assert len(whole.confidence) > 1
        assert np.array_equal(whole.labels.channel(), tiled.labels.channel())

    def test_a_slice_is_looked_at_as_one(self, balls: Balls) -> None:
        plane = balls(64, 60)[30:31]
        labels = found(volume(plane)).labels
        assert labels.grid.shape == (1, 64, 64)

    def test_small_cells_are_dropped_in_um3(self, balls: Balls) -> None:
        image = volume(balls(64, 20))
        sizes = np.bincount(found(image).labels.channel().ravel())[1:]
        limit = float(np.median(sizes))
        kept = found(image, min_volume_um3=limit).labels.channel()
        assert np.bincount(kept.ravel())[1:].min() >= limit
        assert kept.max() < len(sizes)


@pytest.mark.parametrize("size", [1, 90, 128, 129, 171, 256, 300, 512, 1000])
def test_windows_see_alike_and_enough(size: int) -> None:
    stride, shapes = _stride(size), set()
    for (begin, end), _, _ in cores((size, 1, 1), (stride, 1, 1)):
        first, last = _beyond((begin, end), size)
        assert first % UNIT == 0
        assert first <= max(0, begin - HALO)
        assert last >= min(size, end + HALO)
        assert last - first <= WINDOW
        shapes.add(-(-(last - first) // UNIT))
    assert len(shapes) == 1


CONTENT = {
    "NaN": np.full((8, 8, 8), np.nan),
    "constant": np.full((8, 8, 8), 3, np.uint8),
}


@pytest.mark.usefixtures("blurred")
@pytest.mark.parametrize("name", CONTENT)
def test_voxels_that_say_nothing_are_refused(name: str) -> None:
    with pytest.raises(ContentError, match="NaN" if name == "NaN" else "constant"):
        found(volume(CONTENT[name]))


def test_two_channels_are_refused(balls: Balls) -> None:
    image = from_array(np.stack([balls(20, 1)] * 2), (1, 1, 1), modality="fluorescence")
    with pytest.raises(ContentError, match="one channel"):
        found(image)


def test_a_file_without_blocks_is_refused(balls: Balls, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.ome\.zarr"):
        segment_blockwise(volume(balls(20, 1)), tmp_path / "labels.nii.gz")


def test_missing_weights_are_an_error(tmp_path: Path, balls: Balls) -> None:
    with pytest.raises(WeightsError, match="not there"):
        found(volume(balls(20, 1)), weights=tmp_path / "none.safetensors")


def test_truncated_weights_are_an_error(weights: Path, balls: Balls) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="truncated"):
        found(volume(balls(20, 1)), weights=weights)


@pytest.mark.parametrize("architecture", [{"kind": "dmf-lp"}, None, {"task": "cells", "version": 9, "kind": "unet"}])
def test_weights_of_another_network_are_an_error(weights: Path, balls: Balls, architecture: object) -> None:
    save_weights(weights, build_network(UNetConfig(widths=(8, 8))), {"architecture": architecture})
    with pytest.raises(WeightsError, match="no network that finds cells"):
        found(volume(balls(20, 1)), weights=weights)


def test_weights_that_lie_about_their_size_are_an_error(weights: Path, balls: Balls) -> None:
    says = architecture_of(UNetConfig(widths=(8, 16)))
    save_weights(weights, build_network(UNetConfig(widths=(8, 8))), {"architecture": says})
    with pytest.raises(WeightsError, match="tensors"):
        found(volume(balls(20, 1)), weights=weights)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_weights_say_of_which_network_they_are(weights: Path, balls: Balls, precision: str) -> None:
    cells = found(volume(balls(32, 3)), weights=weights, precision=precision)
    assert cells.labels.grid.shape == (32, 32, 32)


def test_a_network_of_monai_predicts_too(tmp_path: Path, balls: Balls) -> None:
    config = SegResNetConfig(width=8, down=(1, 1), up=(1,))
    save_weights(tmp_path / "w.safetensors", build_network(config), {"architecture": architecture_of(config)})
    assert found(volume(balls(24, 2)), weights=tmp_path / "w.safetensors").labels.grid.shape == (24, 24, 24)


def test_what_workers_are_sent_says_the_same(weights: Path, balls: Balls) -> None:
    image = volume(balls(24, 2))
    finder = finder_for(CellNetworkConfig(weights=weights, diameter_um=SIZE), image)
    assert finder is not None
    sent = cloudpickle.loads(cloudpickle.dumps((finder, reader(image))))
    (window,) = finder.windows()
    here, there = finder.said(reader(image), window), sent[0].said(sent[1], window)
    assert np.array_equal(here.said, there.said)
    assert np.array_equal(here.beside, there.beside)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_an_error(weights: Path, balls: Balls) -> None:
    with pytest.raises(ConfigError, match="device"):
        found(volume(balls(20, 1)), weights=weights, device="cuda")


@pytest.mark.parametrize(("seed", "shape"), [((5, 2), (48, 48, 160)), ((5, 1), (40, 40, 200))])
def test_with_the_shipped_weights_blocks_find_what_the_whole_does(
    seed: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    image = volume(random_specimen(np.random.default_rng(seed), shape, 0.4).image)
    whole, tiled = found(image, block=200), found(image, block=64)
    assert len(whole.confidence) > 20
    assert np.array_equal(whole.labels.channel(), tiled.labels.channel())
    assert np.array_equal(whole.confidence, tiled.confidence)
