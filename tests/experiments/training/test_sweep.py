"""Sweeps: what is trained, what is compared and how sure that is, and that a killed one goes on."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.sweep import sweep
from experiments.sweep_config import load_sweep, overrides, sweep_schema
from experiments.sweep_summary import Score, as_csv, as_json, as_text, compared, interval, scores_of
from experiments.training_config import load_training
from volumes.errors import ConfigError, OutputError, StageError

BASE = "name: balls\ntask: {kind: denoise, size: 6, specimens: 3}\nloop: {steps: 3, warmup: 0, checkpoint_every: 1}\n"
SWEEP = """
name: widths
base: base.yaml
variants:
  narrow: {task.channels: 2}
  wide: {task.channels: 4, loop.learning_rate: 1e-3}
seeds: [0, 5]
resamples: 500
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


def exact(differences: list[float]) -> tuple[float, float]:
    """The bootstrap's interval without chance: every way to draw n of n is as likely as any other."""
    means = sorted(np.mean(drawn) for drawn in itertools.product(differences, repeat=len(differences)))
    return means[int(0.025 * len(means))], means[int(0.975 * len(means))]


@pytest.mark.parametrize("differences", [[0.0, 1.0, 5.0], [-2.0, 0.5, 3.0, 11.0], [1.0, 2.5, 2.6, 7.0, 30.0]])
def test_the_interval_is_that_of_all_ways_to_draw_the_units(differences: list[float]) -> None:
    low, high = interval(differences, 20_000)
    spread = max(differences) - min(differences)
    assert (low, high) == pytest.approx(exact(differences), abs=0.03 * spread)
    assert interval(differences, 20_000) == (low, high)


def test_the_interval_follows_its_units_and_needs_two() -> None:
    given = [0.1, 0.4, 0.2, 0.9, 0.3]
    low, high = interval(given, 999)
    assert interval([x + 7 for x in given], 999) == pytest.approx((low + 7, high + 7))
    assert interval([2 * x for x in given], 999) == pytest.approx((2 * low, 2 * high))
    assert interval([3.0, 3.0], 999) == (3.0, 3.0)
    assert all(map(math.isnan, interval([1.0], 999)))
    assert all(map(math.isnan, interval([], 999)))


def rows(values: dict[str, np.ndarray], metric: str = "PSNR") -> list[Score]:
    """Scores from arrays of (seeds, units)."""
    return [
        Score(variant, seed, metric, f"u{unit}", float(value))
        for variant, table in values.items()
        for (seed, unit), value in np.ndenumerate(table)
    ]


def test_what_units_share_cancels_and_seeds_are_averaged(rng: np.random.Generator) -> None:
    first, gain = rng.normal(size=(3, 6)), rng.normal(0.5, 0.1, (3, 6))
    hard = 100 * rng.normal(size=6)
    (_, plain), (_, shifted) = (
        compared(rows({"a": first + off, "b": first + off + gain}), 2000) for off in (0.0, hard)
    )
    assert plain.difference == pytest.approx(gain.mean())
    assert plain.mean == pytest.approx((first + gain).mean())
    assert plain.seed_sd == pytest.approx(np.std((first + gain).mean(1), ddof=1))
    assert plain.units == 6
    assert (shifted.low, shifted.high) == pytest.approx((plain.low, plain.high))
    draws = gain.mean(0)[rng.integers(0, 6, (20_000, 6))].mean(1)
    assert (plain.low, plain.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.01)


def test_a_unit_without_a_value_is_left_out_on_both_sides() -> None:
    a, b = np.arange(8.0).reshape(2, 4), np.arange(8.0).reshape(2, 4) + 1
    b[1, 2] = np.nan
    one, two = compared(rows({"a": a, "b": b}), 500)
    assert (one.units, two.units) == (4, 3)
    assert two.difference == pytest.approx(1.0)
    assert one.difference == one.low == one.high == 0
    nothing = compared(rows({"a": a, "b": np.full((2, 4), np.nan)}), 500)[1]
    assert nothing.units == 0
    assert math.isnan(nothing.mean)
    assert as_json([nothing])[0]["difference"] is None
    assert "–" in as_text([nothing])


def test_the_table_has_every_value_once(tmp_path: Path) -> None:
    given = scores_of("a", 3, {"PSNR": {"u0": 1 / 3, "u1": None}, "SSIM": {"u0": 0.5}})
    (tmp_path / "t.csv").write_text(as_csv(given))
    read = pd.read_csv(tmp_path / "t.csv")
    assert list(read.columns) == ["variant", "seed", "metric", "unit", "value"]
    assert read.value.tolist()[0] == 1 / 3
    assert read.value.isna().tolist() == [False, True, False]


def test_a_grid_is_every_combination_and_names_its_points(config: Path) -> None:
    grid = "grid: {task.channels: [2, 4], loop.schedule: [cosine, constant], loop.betas: [[0.9, 0.99]]}"
    config.write_text(f"name: g\nbase: base.yaml\n{grid}\n")
    points = load_sweep(config).points
    assert next(iter(points)) == "channels-2 schedule-cosine betas-_0.9_ 0.99_"
    assert len(points) == 4
    changed = load_training(config.parent / "base.yaml", overrides([*points.values()][-1], 7))
    assert (changed.task.channels, changed.loop.schedule, changed.loop.seed) == (4, "constant", 7)
    assert changed.loop.betas == (0.9, 0.99)


WRONG = {
    "neither": "seeds: [0]",
    "both": "variants: {a: {}}\ngrid: {task.channels: [2]}",
    "a seed twice": "variants: {a: {}}\nseeds: [1, 1]",
    "no seed": "variants: {a: {}}\nseeds: []",
    "a negative seed": "variants: {a: {}}\nseeds: [-1]",
    "a seed in a variant": "variants: {a: {loop.seed: 3}}",
    "two points of one name": "grid: {loop.betas: [[0.9, 0.99], ['0.9', 0.99]]}",
    "a name that is no folder's": "variants: {../a: {}}",
}


@pytest.mark.parametrize("case", WRONG)
def test_a_sweep_that_cannot_be_is_refused(case: str, config: Path) -> None:
    config.write_text(f"name: s\nbase: base.yaml\n{WRONG[case]}\n")
    with pytest.raises(ConfigError):
        load_sweep(config)


def test_all_variants_are_checked_before_anything_is_trained(config: Path, tmp_path: Path) -> None:
    config.write_text("name: s\nbase: base.yaml\nvariants: {a: {}, b: {task.chanels: 2}}\n")
    with pytest.raises(ConfigError, match="Did you mean 'channels'"):
        sweep(load_sweep(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sweep_trains_each_variant_with_each_seed_and_compares(config: Path, tmp_path: Path) -> None:
    told = []
    done = sweep(load_sweep(config), tmp_path / "out", lambda *facts: told.append(facts))
    assert (done.status, done.finished, done.trainings) == ("finished", 4, 4)
    table = pd.read_csv(done.folder / "table.csv")
    assert len(table) == 2 * 2 * 3
    for (variant, seed), part in table.groupby(["variant", "seed"]):
        model = json.loads((done.folder / str(variant) / f"seed-{seed}" / "model.json").read_text())
        assert dict(zip(part.unit, part.value, strict=True)) == model["validation"]["PSNR"]
    means = table.groupby("variant").value.mean()
    narrow, wide = done.comparisons
    assert wide.difference == pytest.approx(means["wide"] - means["narrow"])
    assert (narrow.variant, narrow.difference) == ("narrow", 0.0)
    summary = json.loads((done.folder / "summary.json").read_text())
    assert summary["comparisons"] == as_json(done.comparisons)
    assert "wide" in (done.folder / "summary.txt").read_text()
    assert [step for _, step, _ in told] == [1, 2, 3] * 4
    before = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    assert sweep(load_sweep(config), tmp_path / "out").comparisons == done.comparisons
    assert {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()} == before


def test_changes_go_to_every_training_and_an_old_folder_is_refused_them(config: Path, tmp_path: Path) -> None:
    done = sweep(load_sweep(config), tmp_path / "out", changes={"loop.steps": "1"})
    steps = {json.loads(path.read_text())["steps"] for path in done.folder.rglob("model.json")}
    assert steps == {1}
    with pytest.raises(StageError, match=r"4 of 4 trainings failed.*loop\.steps: 1 there, 3 asked"):
        sweep(load_sweep(config), tmp_path / "out")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="no run wrote"):
        sweep(load_sweep(config), tmp_path / "thesis")


def test_a_training_that_fails_is_told_and_the_others_are_kept(config: Path, tmp_path: Path) -> None:
    config.write_text("name: s\nbase: base.yaml\nvariants: {a: {}, b: {loop.learning_rate: 1e30}, c: {}}\nseeds: [0]\n")
    with pytest.raises(StageError, match="1 of 3 trainings failed") as caught:
        sweep(load_sweep(config), tmp_path / "out")
    assert caught.value.field == "b, seed 0"
    assert set(pd.read_csv(tmp_path / "out" / "table.csv").variant) == {"a", "c"}
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_budget_stops_each_training_and_running_again_goes_on(config: Path, tmp_path: Path) -> None:
    seen = []
    while not seen or seen[-1].status == "stopped":
        seen.append(sweep(load_sweep(config), tmp_path / "out", changes={"loop.budget_s": "1e-9"}))
    assert [done.finished for done in seen] == [0, 0, 4]
    assert seen[0].comparisons == ()


KILLER = """
import os, signal, sys
from pathlib import Path
from experiments.sweep import sweep
from experiments.sweep_config import load_sweep
seen = []
def watch(*facts):
    seen.append(facts)
    if len(seen) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
sweep(load_sweep(Path(sys.argv[1])), sys.argv[2], watch)
"""


def test_a_sweep_killed_in_the_middle_goes_on_to_the_same_table(config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", KILLER, str(config), str(tmp_path / "killed"), "8"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    assert len([*(tmp_path / "killed").rglob("model.json")]) == 2
    for name in ("killed", "never"):
        sweep(load_sweep(config), tmp_path / name)
    killed, never = ((tmp_path / name / "table.csv").read_text() for name in ("killed", "never"))
    assert killed == never


JOBS = """
import sys
from pathlib import Path
from experiments.sweep import sweep
from experiments.sweep_config import load_sweep
if __name__ == "__main__":
    sweep(load_sweep(Path(sys.argv[1])), sys.argv[2], jobs=2)
"""


@pytest.mark.slow
def test_several_at_once_give_the_same_table(config: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    command = [sys.executable, "-P", str(tmp_path / "jobs.py"), str(config), str(tmp_path / "together")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sweep(load_sweep(config), tmp_path / "alone")
    together, alone = ((tmp_path / name / "table.csv").read_text() for name in ("together", "alone"))
    assert together == alone


def test_the_schema_of_sweeps_accepts_what_loads_and_refuses_a_typo(config: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from experiments.strict_yaml import load as load_yaml

    values = load_yaml(config)
    jsonschema.validate(values, sweep_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values, "variant": {}}, sweep_schema())
