"""What a training writes down: a log for programs, curves and pictures for people."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.learner import Step
from experiments.task import Validation
from experiments.training import train
from experiments.training_log import finite, last_terms, logging_to, read_log
from volumes.errors import OutputError


def events(folder: Path) -> dict[str, list[tuple[int, object]]]:
    """Tag → (step, value) of all of TensorBoard's files in a folder, read record by record as they were written."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util import tensor_util

    found: dict[str, list[tuple[int, object]]] = {}
    for file in sorted(folder.iterdir()):
        stream = BytesIO(file.read_bytes())
        while head := stream.read(8):
            (length,) = struct.unpack("<Q", head)
            stream.read(4)
            event = Event.FromString(stream.read(length))
            stream.read(4)
            for value in event.summary.value:
                image = value.image.encoded_image_string
                number = value.simple_value if value.HasField("simple_value") else None
                if value.HasField("tensor"):
                    number = float(tensor_util.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, image or number))
    return found


def test_every_line_is_json_and_says_what_a_step_was(toy, loop, tmp_path: Path) -> None:
    told = []
    train(toy(), loop(log_every=3), tmp_path / "run", lambda *facts: told.append(facts))
    lines = read_log(tmp_path / "run" / "log.jsonl")
    steps, looks = ([e for e in lines if key in e] for key in ("terms", "validation"))
    assert [e["step"] for e in steps] == [3, 6, 7]
    assert [e["step"] for e in looks] == [2, 4, 6, 7]
    for entry in steps:
        assert entry["loss"] == pytest.approx(sum(entry["terms"].values()))
        assert set(entry["terms"]) == {"square", "absolute"}
        assert entry["gradient"] > 0
    assert [e["seconds"] for e in lines] == sorted(e["seconds"] for e in lines)
    assert [(step, steps) for _, step, steps in told] == [(step, 7) for step in range(1, 8)]
    assert all(text.startswith("loss ") for text, *_ in told)


def test_tensorboard_has_the_same_numbers_and_the_pictures(toy, loop, tmp_path: Path) -> None:
    train(toy(), loop(), tmp_path / "run")
    shown = events(tmp_path / "run" / "tensorboard")
    lines = read_log(tmp_path / "run" / "log.jsonl")
    for tag, of in (("loss", "loss"), ("learning_rate", "learning_rate"), ("gradient", "gradient")):
        told = [(e["step"], e[of]) for e in lines if of in e]
        assert [step for step, _ in shown[tag]] == [step for step, _ in told]
        np.testing.assert_allclose([v for _, v in shown[tag]], [v for _, v in told], rtol=1e-6)
    looks = [np.mean([*e["validation"]["error"].values()]) for e in lines if "validation" in e]
    np.testing.assert_allclose([v for _, v in shown["validation/error"]], looks, rtol=1e-6)
    assert [step for step, _ in shown["one"]] == [2, 4, 6, 7]
    assert Image.open(BytesIO(shown["one"][0][1])).size == (6, 6)


def test_grey_and_coloured_pictures_keep_their_values(tmp_path: Path) -> None:
    grey = np.linspace(0, 1, 12).reshape(3, 4)
    colour = np.zeros((3, 4, 3))
    colour[..., 1] = grey
    found = Validation({"m": {"a": 1.0}}, {"grey": grey, "colour": colour}, "m")
    with logging_to(tmp_path / "log.jsonl", tmp_path / "board", 0) as log:
        log.validation(5, found, 0.0)
    shown = events(tmp_path / "board")
    for name, picture in (("grey", np.repeat(grey[..., None], 3, -1)), ("colour", colour)):
        (step, png) = shown[name][0]
        assert step == 5
        pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
        np.testing.assert_allclose(pixels, picture * 255, atol=1)


def test_a_log_goes_on_after_the_step_and_half_a_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "µ": 0.1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "los')
    with logging_to(path, tmp_path / "board", 2) as log:
        log.step(3, Step({"a": 1.5, "b": 0.5}, 0.1, 2.0), 1.23456)
    lines = read_log(path)
    assert [e["step"] for e in lines] == [1, 2, 3]
    assert lines[0] == {"step": 1, "µ": 0.1}
    expected = {"loss": 2.0, "terms": {"a": 1.5, "b": 0.5}, "learning_rate": 0.1, "gradient": 2.0, "seconds": 1.235}
    assert lines[2] == {"step": 3, **expected}


def test_a_spoilt_line_inside_a_log_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(OutputError, match="no line of a log") as caught:
        read_log(path)
    assert caught.value.field == "line 2"
    assert read_log(tmp_path / "none") == []


def test_what_json_cannot_hold_is_null() -> None:
    scores = {"m": {"a": float("nan"), "b": float("inf"), "c": np.float32(0.5)}}
    assert json.loads(json.dumps(finite(scores), allow_nan=False)) == {"m": {"a": None, "b": None, "c": 0.5}}


def test_the_last_terms_are_means_over_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"step": {i}, "terms": {{"a": {i}.0}}}}\n{{"step": {i}}}\n' for i in range(5)))
    assert last_terms(path, 2) == {"a": 3.5}
    assert last_terms(path) == {"a": 2.0}
    assert last_terms(tmp_path / "none") == {}
