"""The benchmark of fine-tuning: halves and crops that share no voxel, files that the verb reads, rows that add up."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.bench import segmentation_transfer as bench
from experiments.bench.segmentation_scratch import found, trained
from experiments.bench.segmentation_transfer import CONFIG, CROPS, Row, _scored, _write, _written, halves, sixths
from experiments.bench.segmentation_volumes import Case
from experiments.fine_tuning import labelled_in
from experiments.loop import LoopConfig
from experiments.tasks.cell_labelled import Labelled
from experiments.training import Trained
from experiments.training_config import load_training
from volumes.volume import from_array
from volumes.weights import load_weights, save_weights

SPACING = (0.5, 0.25, 0.25)


@pytest.fixture
def case() -> Case:
    """A number in every voxel of the image, and four cells."""
    image = np.arange(12 * 18 * 20, dtype=np.float32).reshape(12, 18, 20)
    truth = np.zeros(image.shape, np.uint32)
    for number, (y, x) in enumerate(((2, 2), (11, 3), (3, 13), (12, 14))):
        truth[2:10, y : y + 5, x : x + 5] = number + 1
    images = (from_array(image, SPACING, modality="fluorescence"),)
    return Case(images, (from_array(truth, SPACING, modality="labels"),), "made up")


def test_the_halves_are_the_volume_and_share_nothing(case: Case) -> None:
    learnt, other = halves(case, 0)
    both = np.concatenate([learnt.images[0].channel(), other.images[0].channel()], axis=2)
    assert np.array_equal(both, case.images[0].channel())
    assert set(np.unique(learnt.truths[0].channel())) == {0, 1, 2}
    swapped = halves(case, 1)
    assert np.array_equal(swapped[0].images[0].channel(), other.images[0].channel())
    assert learnt.images[0].grid.spacing_um == SPACING


def test_the_crops_of_a_half_are_all_of_it(case: Case) -> None:
    half = halves(case, 0)[0]
    seen = np.concatenate([image.channel().ravel() for image, _ in sixths(half)])
    assert len(sixths(half)) == max(CROPS)
    assert np.array_equal(np.sort(seen), np.sort(half.images[0].channel().ravel()))


def test_crops_are_written_as_the_verb_reads_them(case: Case, tmp_path: Path) -> None:
    half = halves(case, 0)[0]
    assert len(_written(half, max(CROPS), tmp_path)) == 1
    (pair,) = labelled_in(tmp_path)
    whole = Labelled.of(pair)
    assert set(np.unique(whole.labels)) == {0, 1, 2}
    (tmp_path / "few").mkdir()
    assert len(_written(half, 2, tmp_path / "few")) == len(labelled_in(tmp_path / "few")) == 2


def test_a_row_tells_what_was_found(case: Case, tmp_path: Path) -> None:
    about = ("the truth", "left to right", 1, 3, 0.4, 2.0)
    row = _scored(about, "case", case, lambda image: case.truths[0].with_data(
        (image.channel() >= 0)[None] * case.truths[0].array))  # fmt: skip
    assert row == Row(*about, "case", 1.0, 1.0, 4)
    for _ in range(2):
        _write(tmp_path / "a" / "table.csv", [row])
    with (tmp_path / "a" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [one["ap"] for one in rows] == ["1.000", "1.000"]


def test_one_training_is_looked_at_with_several_anchors(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, start, few = [], tmp_path / "start.safetensors", tmp_path / "few"
    about = {"architecture": {"kind": "toy"}}
    save_weights(start, {"a": torch.tensor([1.0])}, about)

    def trained_to_zero(_: object, loop: LoopConfig, folder: Path, config: dict) -> Trained:
        asked.append((loop.anchor, loop.seed, config["task"]["seed"]))
        save_weights(folder / "weights.safetensors", {"a": torch.tensor([0.0])}, about)
        return Trained(folder, "finished", 1, folder / "weights.safetensors", {})

    monkeypatch.setattr(bench, "train", trained_to_zero)
    few.mkdir()
    _written(halves(case, 0)[0], 1, few)
    options = argparse.Namespace(config=CONFIG, anchors=[0.0, 0.25, 0.5])
    sets = bench._trained(few, 7, start, tmp_path, options)
    assert {anchor: load_weights(path)[0]["a"].item() for anchor, path in sets.items()} == {0: 0, 0.25: 0.25, 0.5: 0.5}
    options.anchors = []
    shipped = load_training(CONFIG).loop.anchor
    assert [*bench._trained(few, 7, start, tmp_path, options)] == [shipped]
    assert asked == [(0, 7, 7), (shipped, 7, 7)]


def test_the_baseline_learns_and_answers_on_the_image_s_grid(case: Case, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    pairs = _written(halves(case, 0)[0], max(CROPS), tmp_path)
    net = trained(pairs, 1.0)
    labels = found(net, case.images[0], [second for _, second in pairs])
    assert labels.grid.is_close(case.images[0].grid)
    assert labels.channel().dtype == np.uint16
    assert 4e5 < sum(weight.numel() for weight in net.parameters()) < 1.3e6
    torch.random.set_rng_state(before)


def test_most_of_what_fine_tuning_sees_is_made_up() -> None:
    config = load_training(CONFIG)
    assert config.task.labelled_share <= 0.3
    assert config.task.weights == "shipped"
    assert config.loop.learning_rate < load_training(CONFIG.with_name("segmenter.yaml")).loop.learning_rate
