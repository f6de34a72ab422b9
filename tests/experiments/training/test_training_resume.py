"""A training that is killed, by SIGKILL and anywhere, and run again, ends with the same bits as one that never was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.training import train

HERE = Path(__file__).resolve().parent

KILLER = """
import json, os, runpy, signal, sys
from pathlib import Path
from experiments import training
from experiments.loop import LoopConfig
from experiments.training_log import TrainingLog
import torch

Toy = runpy.run_path(sys.argv[1])["Toy"]
settings, folder, what = LoopConfig.model_validate_json(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
training.train(Toy(), settings, folder / "first")  # loads what children would each load anew

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(owner, name, limit, before):
    original, seen = getattr(owner, name), []
    def call(*given, **named):
        seen.append(name)
        if before and len(seen) == limit:
            die()
        try:
            return original(*given, **named)
        finally:
            if not before and len(seen) == limit:
                die()
    setattr(owner, name, call)

def half_a_line(limit):
    seen = []
    original = TrainingLog._line
    def call(self, facts):
        seen.append(1)
        if len(seen) == limit:
            text = json.dumps(facts)
            self.lines.write(text[: len(text) // 2])
            self.lines.flush()
            die()
        original(self, facts)
    TrainingLog._line = call

def attempt(place, limit):
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    status = 1
    try:
        if limit and what == "line":
            half_a_line(limit)
        elif limit:
            owner, name, moment = {
                "batch": (Toy, "batch", True),
                "before a rename": (Path, "replace", True),
                "after a rename": (Path, "replace", False),
                "after a removal": (Path, "unlink", False),
            }[what].__iter__()
            counted(owner, name, limit, moment)
        training.train(Toy(), settings, place)
        status = 0
    finally:
        os._exit(status)

if what == "again and again":
    what, kills = "batch", 0
    while attempt(folder / "0", 5):
        kills += 1
    sys.stdout.write(json.dumps([kills]))
else:
    limit = 1
    while attempt(folder / str(limit), limit):
        assert not attempt(folder / str(limit), 0)
        limit += 1
    sys.stdout.write(json.dumps([*range(1, limit)]))
"""
"""Runs trainings in children that kill themselves at the n-th event of a kind, then runs each of them to its end."""


def killed(what: str, settings: Any, folder: Path) -> list[int]:
    command = [sys.executable, "-P", "-c", KILLER, str(HERE / "conftest.py"), settings.model_dump_json(), str(folder)]
    done = subprocess.run([*command, what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


def left(folder: Path, tensors) -> tuple[dict[str, Any], ...]:
    """All that a training leaves, without what may differ: seconds, and the order of a file's header."""
    model = json.loads((folder / "model.json").read_text())
    del model["seconds"], model["weights"]["sha256"]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for entry in log:
        del entry["seconds"]
    files = {
        f"{path.relative_to(folder)} {name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in tensors(path).items()
    }
    rest = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "tfevents" not in path.name)
    return {"model": model, "log": log, "rest": rest, "config": (folder / "experiment.yaml").read_text()}, files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "least"),
    [("batch", 14), ("line", 10), ("before a rename", 10), ("after a rename", 10), ("after a removal", 2)],
)
def test_killed_anywhere_and_run_again_is_never_killed(
    what: str, least: int, toy, loop, tensors, same, tmp_path: Path
) -> None:
    settings = loop(accumulate=2)
    train(toy(), settings, tmp_path / "never")
    facts, files = left(tmp_path / "never", tensors)
    places = killed(what, settings, tmp_path / "killed")
    assert len(places) >= least
    for place in places:
        again, numbers = left(tmp_path / "killed" / str(place), tensors)
        assert again == facts, f"killed at {what} {place}"
        assert same(numbers, files), f"killed at {what} {place}"


def test_killed_again_and_again_it_still_comes_to_the_same_end(toy, loop, tensors, same, tmp_path: Path) -> None:
    settings = loop(steps=9, checkpoint_every=2, workers=0)
    train(toy(), settings, tmp_path / "never")
    (kills,) = killed("again and again", settings, tmp_path / "killed")
    assert kills >= 2
    facts, files = left(tmp_path / "never", tensors)
    again, numbers = left(tmp_path / "killed" / "0", tensors)
    assert again == facts
    assert same(numbers, files)


def test_a_budget_of_time_stops_it_at_a_checkpoint_and_running_again_goes_on(
    toy, loop, tensors, same, tmp_path: Path
) -> None:
    train(toy(), loop(), tmp_path / "whole")
    seen = []
    while True:
        done = train(toy(), loop(budget_s=1e-9), tmp_path / "parts")
        seen.append(done.step)
        if done.status == "finished":
            break
        assert done.weights is None
        assert not done.model
        assert not (tmp_path / "parts" / "model.json").exists()
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    parts, whole = (tensors(tmp_path / name / "weights.safetensors") for name in ("parts", "whole"))
    assert same(parts, whole)


def test_only_the_newest_checkpoints_stay(toy, loop, tmp_path: Path) -> None:
    train(toy(), loop(checkpoint_every=1, keep=3), tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == [f"step-{step:09d}.safetensors" for step in (5, 6, 7)]
