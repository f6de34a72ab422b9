"""A training from its own YAML file, and the verb that runs it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.loop import RUNNING, LoopConfig
from experiments.rehearsal import rehearse
from experiments.sweep_config import sweep_schema
from experiments.tasks.denoise import DenoiseTaskConfig
from experiments.training_config import load_training, resolved, training_schema
from volumes.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
CONFIG = """
name: balls
title: a first training
task: {kind: denoise, size: 6, specimens: 2}
loop: {steps: 4, warmup: 1, checkpoint_every: 2}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "balls.yaml"
    path.write_text(CONFIG)
    return path


def test_a_file_says_only_what_differs(config: Path) -> None:
    found = load_training(config, {"loop.steps": "9", "task.noise": "0.5"})
    assert found.task == DenoiseTaskConfig(size=6, specimens=2, noise=0.5)
    assert found.loop == LoopConfig(steps=9, warmup=1, checkpoint_every=2)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("loop.step", "3", "'steps'"),
        ("task.kind", "fly", "task"),
        ("loop.steps", "0", "greater than 0"),
        ("a", "1", "a"),
    ],
)
def test_a_slip_is_told_with_its_key(config: Path, key: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_training(config, {key: value})
    assert caught.value.file == str(config)


def test_the_resolved_config_is_a_config_of_the_same(config: Path, tmp_path: Path) -> None:
    import yaml

    found = load_training(config)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(resolved(found)))
    assert load_training(tmp_path / "again.yaml") == found


def test_train_prints_what_it_made_and_goes_on_and_ends(fusetrack: Callable, config: Path) -> None:
    code, out, err = fusetrack("train", config, "--set", "loop.budget_s=1e-9", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["status"], facts["step"], facts["steps"], facts["weights"]) == ("stopped", 1, 4, "")
    code, out, err = fusetrack("train", config)
    assert code == 0
    lines = dict(line.strip().split("  ", 1) for line in out.splitlines())
    assert lines["status"] == "finished"
    assert Path(lines["weights"]) == Path("results/balls/weights.safetensors")
    assert float(lines["PSNR"]) > 0
    assert "loss" in err
    assert load_training(Path("results/balls/experiment.yaml")).name == "balls"
    code, out, _ = fusetrack("train", config, "--set", "loop.seed=1")
    assert (code, out) == (1, "")
    assert not Path("elsewhere").exists()
    assert fusetrack("train", config, "--out", "elsewhere", "--json")[0] == 0
    assert Path("elsewhere/model.json").is_file()


def test_a_dry_run_measures_and_writes_nothing(fusetrack: Callable, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = fusetrack("train", config, "--dry-run", "--json")
    assert code == 0
    facts = json.loads(out)
    width = 8
    assert facts["parameters"] == width * 27 + width + width * 27
    assert facts["weight_bytes"] == 4 * facts["parameters"]
    # Two moments and the running mean, and a count of steps for each of the three tensors.
    assert facts["optimiser_bytes"] == 3 * facts["weight_bytes"] + 3 * 4
    assert facts["steps"] == 4
    assert min(facts["peak_bytes"], facts["batch_s"], facts["step_s"]) > 0
    assert facts["total_s"] == pytest.approx(4 * (facts["batch_s"] + facts["step_s"]))
    assert sorted(tmp_path.rglob("*")) == before
    assert fusetrack("train", config, "--dry-run")[1].split()[0] == "parameters"


def test_a_dry_run_leaves_the_network_that_training_begins_with(toy, loop) -> None:
    found = rehearse(toy(), loop(accumulate=2))
    assert found.parameters == sum(weight.numel() for weight in toy().model().parameters())


def test_sweep_prints_its_comparison(fusetrack: Callable, config: Path) -> None:
    Path("sweep.yaml").write_text("name: s\nbase: balls.yaml\nvariants: {a: {}, b: {loop.ema: 0.5}}\nseeds: [0]\n")
    code, out, _ = fusetrack("sweep", "sweep.yaml", "--set", "loop.steps=1")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["PSNR", "a"], ["PSNR", "b"]]
    code, out, err = fusetrack("sweep", "sweep.yaml", "--set", "loop.steps=1", "--json")
    assert (code, err) == (0, "")
    assert [row["variant"] for row in json.loads(out)["comparisons"]] == ["a", "b"]
    code, _, err = fusetrack("sweep", "sweep.yaml", "--jobs", 0)
    assert code == 1
    assert "--jobs" in err


@pytest.mark.parametrize("verb", ["train", "sweep"])
def test_a_missing_config_is_one_message(fusetrack: Callable, verb: str) -> None:
    code, out, err = fusetrack(verb, "none.yaml")
    assert (code, out) == (1, "")
    assert "no such config" in err


def test_the_page_of_training_tells_every_key_of_the_loop_and_its_default() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page, re.MULTILINE))
    defaults = {key: str(field.default) for key, field in LoopConfig.model_fields.items()}
    assert {key: value for key, value in told.items() if key in defaults} == defaults
    assert set(re.findall(r"`(\w+)`", page[page.index("The keys\n") : page.index("A finished training")])) == RUNNING


@pytest.mark.parametrize(("name", "schema"), [("training", training_schema), ("sweep", sweep_schema)])
def test_the_committed_schemas_of_trainings_are_the_code_s(name: str, schema: Callable[[], dict]) -> None:
    """Run with FUSETRACK_UPDATE=1 to write it anew after a change of the config, for instance a new kind of task."""
    path = Path(__file__).resolve().parents[3] / "configs" / f"{name}.schema.json"
    text = json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("FUSETRACK_UPDATE") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_the_schema_of_trainings_accepts_what_loads_and_refuses_a_typo(config: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from experiments.strict_yaml import load as load_yaml

    values = load_yaml(config)
    jsonschema.validate(values, training_schema())
    values["loop"]["step"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, training_schema())
