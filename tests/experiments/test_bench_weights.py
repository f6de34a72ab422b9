"""The benchmark of sets of weights: what is held out is new, the spread over seeds adds up, and all sets have rows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import segmentation_weights as bench
from experiments.tasks.segmenter import HELD_OUT, SegmenterTaskConfig
from experiments.training_config import load_training
from volumes.errors import ConfigError


@pytest.fixture
def task() -> SegmenterTaskConfig:
    one = load_training(bench.CONFIG).task
    assert isinstance(one, SegmenterTaskConfig)
    return one.model_copy(update={"pool": one.pool.model_copy(update={"size": 32})})


def test_specimens_are_such_as_no_training_draws(task: SegmenterTaskConfig) -> None:
    case = bench.specimens(task, 2)
    assert [image.grid.shape for image in case.images] == [(32, 32, 32)] * 2
    assert case.images[0].grid.spacing_um == (1.0, 1.0, 1.0)
    assert not np.array_equal(case.images[0].array, case.images[1].array)
    assert np.array_equal(bench.specimens(task, 1).truths[0].array, case.truths[0].array)
    assert {task.seed, 11, 12, 13}.isdisjoint({bench.HELD_OUT_SEED})
    assert task.pool.harder + 1 + 96 < HELD_OUT


def test_phantoms_are_of_other_seeds(task: SegmenterTaskConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bench, "drawn_phantoms", lambda one: asked.extend(one.seeds) or [])
    assert bench.phantoms(task).images == ()
    taught = [seed for one in task.phantoms for seed in one.seeds]
    assert len(asked) == len(taught)
    assert not set(asked) & set(taught)


def test_the_spread_is_that_of_the_seeds() -> None:
    rows = [bench.Row(f"{i}", "CHO", (ap, 0.5, 0.4), 9, found) for i, ap, found in ((1, 0.2, 7), (2, 0.4, 8))]
    mean, sd = bench.spread(rows)
    assert mean.scores == pytest.approx((0.3, 0.5, 0.4))
    assert sd.scores == pytest.approx((0.1 * 2**0.5, 0, 0))
    assert (mean.weights, sd.weights, mean.true_cells) == ("mean of 2 seeds", "sd of 2 seeds", 9)
    assert bench.spread(rows[:1]) == []


def test_a_training_s_weights_are_called_as_its_folder() -> None:
    assert [
        bench.named(Path(one)) for one in ("a/seed11/weights.safetensors", "b/best.safetensors", "b/c.safetensors")
    ] == ["seed11", "b", "c"]


def test_every_set_has_a_row_of_every_case(
    task: SegmenterTaskConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "segment", lambda image, _: image.with_data((image.array > 2).astype(np.uint32)))
    monkeypatch.setattr(bench, "load_training", lambda _: load_training(bench.CONFIG, {"task.pool.size": "32"}))
    out = tmp_path / "weights.csv"
    sets = ["--seeds", "a/weights.safetensors", "b/weights.safetensors", "--beside", "c.safetensors"]
    bench.main([*sets, "--specimens", "1", "--without-phantoms", "--cases", "--out", str(out)])
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["weights"] for row in rows] == ["the package's", "a", "b", "c", "mean of 2 seeds", "sd of 2 seeds"]
    assert {row["case"] for row in rows} == {"specimens"}
    assert float(rows[-1]["AP"]) == 0
    with pytest.raises(ConfigError, match="one name"):
        bench.main(["--seeds", "a/weights.safetensors", "--beside", "b/a.safetensors", "--out", str(out)])
