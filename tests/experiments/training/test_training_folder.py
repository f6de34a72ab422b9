"""What a training refuses: another's folder, another config, damaged files, a loss that is no number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments import checkpoint
from experiments.task import Validation
from experiments.training import train
from experiments.training_folder import TrainingFolder, owner
from volumes.errors import ConfigError, OutputError, StageError, WeightsError
from volumes.weights import load_weights, save_weights


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def stopped(toy, loop, folder: Path) -> Path:
    """A training that has begun: one step, one checkpoint; gives its path."""
    assert train(toy(), loop(budget_s=1e-9), folder).status == "stopped"
    (path,) = checkpoint.saved(folder / "checkpoints")
    return path


def test_a_finished_training_does_no_work(toy, loop, tmp_path: Path) -> None:
    first = train(toy(), loop(), tmp_path / "run")
    before = contents(tmp_path / "run")

    class Untouchable(toy):
        def model(self):
            raise AssertionError("a finished training was begun again")

    again = train(Untouchable(), loop(), tmp_path / "run")
    assert again == first
    assert contents(tmp_path / "run") == before


def test_another_config_is_refused_and_its_keys_are_named(toy, loop, tmp_path: Path) -> None:
    stopped(toy, loop, tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(OutputError, match=r"loop\.learning_rate: 0\.05 there, 0\.1 asked") as caught:
        train(toy(width=4), loop(learning_rate=0.1), tmp_path / "run")
    assert caught.value.field == "loop.learning_rate, task.architecture.width"
    assert contents(tmp_path / "run") == before


def test_how_it_is_run_may_change_when_it_goes_on(toy, loop, tmp_path: Path) -> None:
    stopped(toy, loop, tmp_path / "run")
    changed = loop(checkpoint_every=1, keep=1, log_every=2, workers=1, threads=2)
    assert train(toy(), changed, tmp_path / "run").status == "finished"


def test_a_config_of_its_own_tells_a_training_from_others(toy, loop, tmp_path: Path) -> None:
    config = {"name": "a", "title": "first", "task": {"data": ["x", "y"]}, "loop": loop().model_dump(mode="json")}
    train(toy(), loop(), tmp_path / "run", config=config)
    assert train(toy(), loop(), tmp_path / "run", config={**config, "title": "renamed"}).status == "finished"
    with pytest.raises(OutputError, match=r"task\.data"):
        train(toy(), loop(), tmp_path / "run", config={**config, "task": {"data": ["x"]}})
    assert owner(config) == owner({**config, "title": ""}) != owner({**config, "name": "b"})


def test_files_that_no_training_wrote_are_left_alone(toy, loop, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="no run wrote"):
        train(toy(), loop(), tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


HOLDER = """
import sys
from pathlib import Path
from experiments.training_folder import TrainingFolder
with TrainingFolder(Path(sys.argv[1])).held({"loop": {}}):
    sys.stdout.write("held\\n"); sys.stdout.flush()
    sys.stdin.read()
"""


def test_two_trainings_never_share_a_folder(toy, loop, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another run is using"):
            train(toy(), loop(), tmp_path / "run")
        holder.kill()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_it_and_the_last_good_checkpoint_stays(
    number: float, toy, loop, tmp_path: Path
) -> None:
    broken = toy(fault=lambda step: number if step == 5 else 0.0)
    with pytest.raises(StageError, match="at step 6") as caught:
        train(broken, loop(), tmp_path / "run")
    assert caught.value.field == "square, absolute"
    (path,) = checkpoint.saved(tmp_path / "run" / "checkpoints")
    assert path.name == "step-000000003.safetensors"
    tensors, _ = load_weights(path)
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert not (tmp_path / "run" / "model.json").exists()
    # With the cause mended it goes on from there.
    assert train(toy(), loop(), tmp_path / "run").status == "finished"


def test_a_gradient_that_is_no_number_stops_it_too(toy, loop, tmp_path: Path) -> None:
    class Steep(toy):
        def loss(self, model, batch):
            off = (model(batch["x"]) - batch["y"]).square().mean()
            return {"root": (off * 0).sqrt()}  # finite, but its slope is not

    with pytest.raises(StageError, match="gradient") as caught:
        train(Steep(), loop(clip=None), tmp_path / "run")
    assert caught.value.field == "gradient"
    assert checkpoint.saved(tmp_path / "run" / "checkpoints") == []


def test_a_device_that_is_not_there_is_refused_before_a_folder_is_made(toy, loop, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="no such device") as caught:
        train(toy(), loop(device="cuda"), tmp_path / "run")
    assert caught.value.field == "loop.device"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused_and_stays(share: float, toy, loop, tmp_path: Path) -> None:
    path = stopped(toy, loop, tmp_path / "run")
    os.truncate(path, int(path.stat().st_size * share))
    before = path.read_bytes()
    with pytest.raises(WeightsError) as caught:
        train(toy(), loop(), tmp_path / "run")
    assert caught.value.file == str(path)
    assert "Remove this file" in str(caught.value)
    assert path.read_bytes() == before


def test_a_changed_byte_is_found(toy, loop, tmp_path: Path) -> None:
    path = stopped(toy, loop, tmp_path / "run")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not those that were saved"):
        train(toy(), loop(), tmp_path / "run")


def foreign(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, object]) -> dict[str, str]:
    """Checkpoints that are whole, but not of this training: what is written there, and what the error says."""
    cases = {
        "weights": (tensors, {"architecture": {}}, "no checkpoint of this version"),
        "a later version": (tensors, {**metadata, "checkpoint": 99}, "no checkpoint of this version"),
        "another training": (tensors, {**metadata, "owner": "0" * 64}, "another training"),
        "a tensor too few": ({k: v for k, v in tensors.items() if k != "ema.0.bias"}, metadata, "1 tensors"),
        "another shape": ({**tensors, "model.0.bias": torch.zeros(9)}, metadata, "another shape"),
        "moments of what is not there": ({**tensors, "optimiser.9.exp_avg": torch.zeros(9)}, metadata, "1 tensors"),
    }
    says = {}
    for name, (state, header, text) in cases.items():
        save_weights(path.with_name(f"{name}.safetensors"), state, header)
        says[name] = text
    return says


def test_a_foreign_checkpoint_is_refused(toy, loop, tmp_path: Path) -> None:
    path = stopped(toy, loop, tmp_path / "run")
    aside = tmp_path / "aside"
    aside.mkdir()
    tensors, metadata = load_weights(path)
    for name, text in foreign(aside / "x", tensors, metadata).items():
        path.write_bytes((aside / f"{name}.safetensors").read_bytes())
        with pytest.raises(WeightsError, match=text) as caught:
            train(toy(), loop(), tmp_path / "run")
        assert caught.value.file == str(path), name


def test_what_a_killed_training_left_half_written_is_swept(toy, loop, tmp_path: Path) -> None:
    path = stopped(toy, loop, tmp_path / "run")
    half = path.with_name(f".fusetrack-0123456789ab-{path.name}")
    half.write_bytes(b"half")
    train(toy(), loop(), tmp_path / "run")
    assert not half.exists()


def test_a_validation_must_have_what_it_is_judged_by() -> None:
    with pytest.raises(ConfigError, match="none of the metrics"):
        Validation({"PSNR": {"a": 1.0}}, {}, criterion="SSIM")
    found = Validation({"PSNR": {"a": 1.0, "b": float("nan"), "c": 3.0}}, {}, criterion="PSNR")
    assert found.means == {"PSNR": 2.0}
    assert found.better_than(None)
    assert found.better_than(1.9)
    assert not found.better_than(2.0)
    lower = Validation(found.scores, {}, criterion="PSNR", higher_is_better=False)
    assert lower.better_than(2.1)
    assert not lower.better_than(2.0)
    nothing = Validation({"PSNR": {"a": float("nan")}}, {}, criterion="PSNR")
    assert not nothing.better_than(None)


def test_the_places_of_a_training_do_not_meet(tmp_path: Path) -> None:
    place = TrainingFolder(tmp_path)
    places = [place.config, place.checkpoints, place.log, place.tensorboard, place.best, place.weights, place.model]
    assert len(set(places)) == len(places)
    assert place.finished() == {}
