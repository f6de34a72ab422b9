"""The config: closed, typed, consistent; its schema is the committed one."""

from __future__ import annotations

import gzip
import importlib.resources
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from experiments.config import Experiment, Suite, dump, json_schema, load
from experiments.entries import Simulated
from experiments.fingerprint import stage_key
from experiments.phantom_file import files_of, load_phantom, phantom_schema
from experiments.run_folder import RunFolder
from experiments.stages.phantom import phantom_stage
from volumes.errors import ConfigError

CONFIGS = Path(str(importlib.resources.files("configs")))
PAIR = """
name: pair
sources:
  mr: {file: t1.nii.gz, modality: MRI}
  ct: {file: ct.nii.gz, modality: CT}
register: {kind: rigid}
fuse: {kind: lpf}
"""


@pytest.fixture
def write(tmp_path: Path):
    def at(text: str) -> Path:
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return at


def test_a_short_file_says_enough(write) -> None:
    config = load(write(PAIR))
    assert isinstance(config, Experiment)
    assert config.fixed == "mr"
    assert config.moving == ("ct",)
    assert config.segmented == "fused"


def test_paths_count_from_the_file_s_own_folder(write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    config = load(write(PAIR))
    assert isinstance(config, Experiment)
    assert config.sources["ct"].file == tmp_path / "ct.nii.gz"


def test_the_resolved_config_is_a_config_of_the_same_meaning(write, tmp_path: Path) -> None:
    config = load(write(PAIR))
    again = tmp_path / "resolved.yaml"
    again.write_text(dump(config), encoding="utf-8")
    assert load(again) == config
    assert dump(load(again)) == dump(config)


def test_an_override_replaces_one_value(write) -> None:
    config = load(write(PAIR), {"fuse.base": "max", "reference": "ct"})
    assert isinstance(config, Experiment)
    assert config.fuse is not None
    assert config.fuse.base == "max"
    assert config.moving == ("mr",)


@pytest.mark.parametrize("bad", [{"fuse.bass": "max"}, {"name.x": "1"}, {"fuse.base": "maximum"}])
def test_a_bad_override_is_refused(write, bad: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        load(write(PAIR), bad)


MISTAKES = {
    "a mistyped key": (PAIR + "fusee: {kind: lpf}\n", "fusee", "no such key"),
    "a mistyped key below": (PAIR.replace("modality: CT", "modalty: CT"), "sources.ct.modal", ""),
    "a number for text": (PAIR.replace("name: pair", "name: 3"), "name", "string"),
    "text for a number": (PAIR.replace("fuse: {kind: lpf}", "fuse: {kind: lpf, levels: many}"), "fuse", "integer"),
    "a bool for text": (PAIR.replace("reference: ct", "") + "reference: true\n", "reference", "string"),
    "an unknown kind": (PAIR.replace("kind: rigid", "kind: rigidd"), "register", "rigid"),
    "a reference that is not there": (PAIR + "reference: pet\n", "the whole", "pet"),
    "nothing to work on": ("name: x\n", "the whole", "at least one"),
    "linking nothing": (PAIR + "link: {kind: constraint}\n", "the whole", "link needs"),
    "a path as a name": (PAIR.replace("name: pair", "name: ../pair"), "name", "pattern"),
    "a spacing of zero": (
        PAIR.replace("CT}", "CT, layout: {axes: ZYX, sizes: [1, 1, 1], spacing_um: [0, 1, 1]}}"),
        "spacing_um",
        "greater than 0",
    ),
    "a NaN": (
        PAIR.replace("CT}", "CT, displaced: {rotation_deg: [.nan, 0, 0], shift_um: [0, 0, 0]}}"),
        "rotation_deg",
        "",
    ),
    "no such modality field": (PAIR.replace(", modality: CT", ""), "sources.ct.modality", "missing"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_its_file_field_and_value(write, case: str) -> None:
    text, field, says = MISTAKES[case]
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.file == str(path)
    assert field in str(caught.value.field)
    assert says in str(caught.value)


def test_a_near_miss_is_guessed(write) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'modality'"):
        load(write(PAIR.replace("modality: CT", "modality: CT, modalitty: CT")))


CONTRADICTIONS = {
    "register alone": "sources: {a: {file: a.nrrd, modality: CT}}\nregister: {kind: rigid}",
    "fuse alone": "sources: {a: {file: a.nrrd, modality: CT}}\nfuse: {kind: lpf}",
    "segment nothing": "cells: {file: a.csv}\nsegment: {kind: watershed}",
    "segment what is not fused": "sources: {a: {file: a, modality: CT}}\nsegment: {kind: watershed}\nsegment_on: fused",
    "displace the reference": "sources: {a: {file: a, modality: CT, displaced: {rotation_deg: [1.0, 0.0, 0.0], "
    "shift_um: [0.0, 0.0, 0.0]}}}",
    "displace a movie": "sources: {a: {file: a, modality: CT}, b: {file: b, modality: CT, movie: true, "
    "displaced: {rotation_deg: [1.0, 0.0, 0.0], shift_um: [0.0, 0.0, 0.0]}}}",
    "truth for nothing": "sources: {a: {file: a, modality: CT}}\ntruth_labels: {file: b, modality: labels}",
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_told_before_anything_runs(write, case: str) -> None:
    with pytest.raises(ConfigError):
        load(write(f"name: x\n{CONTRADICTIONS[case]}\n"))


def test_a_config_cannot_be_changed() -> None:
    config = Experiment.model_validate({"name": "a", "cells": {"file": "a.csv"}})
    with pytest.raises(ValidationError):
        config.name = "b"  # type: ignore[misc]


def test_the_demo_is_a_suite_whose_files_are_there() -> None:
    with importlib.resources.as_file(importlib.resources.files("configs") / "demo.yaml") as path:
        config = load(path)
    assert isinstance(config, Suite)
    files = [s.file for part in config.parts.values() for s in part.sources.values()]
    files += [part.cells.file for part in config.parts.values() if part.cells]
    assert files
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize(("file", "schema"), [("schema.json", json_schema), ("phantom/schema.json", phantom_schema)])
def test_the_committed_schema_is_the_code_s(file: str, schema) -> None:
    """Run with FUSETRACK_UPDATE=1 to write it anew after a change of the config."""
    path = Path(__file__).resolve().parents[2] / "configs" / file
    text = json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("FUSETRACK_UPDATE") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_the_schema_accepts_the_demo_and_refuses_a_typo() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from experiments.strict_yaml import load as load_yaml

    with importlib.resources.as_file(importlib.resources.files("configs") / "demo.yaml") as path:
        values = load_yaml(path)
    schema = json_schema()
    jsonschema.validate(values, schema)
    values["partz"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, schema)


FOLDER = Path(__file__).resolve().parents[2] / "configs" / "phantom"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_phantoms_and_their_pipeline_are_what_their_schema_says(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from experiments.strict_yaml import load as load_yaml

    values = load_yaml(path)
    jsonschema.validate(values, json_schema() if "phantom" in values else phantom_schema())
    config = load(path) if "phantom" in values else load_phantom(path)
    assert config.name


def test_a_phantom_s_file_takes_overrides_and_refuses_a_typo() -> None:
    path = FOLDER / "embryo.yaml"
    assert load_phantom(path, {"difficulty": "0.25"}).difficulty == 0.25
    with pytest.raises(ConfigError, match="Did you mean 'difficulty'"):
        load_phantom(path, {"dificulty": "0.25"})


def test_a_phantom_in_a_suite_takes_overrides(write) -> None:
    path = write(f"name: s\nparts:\n  a:\n    name: a\n    phantom: {{config: {FOLDER / 'embryo.yaml'}}}\n")
    config = load(path, {"parts.a.phantom.config.difficulty": "0.25"})
    assert isinstance(config, Suite)
    part = config.parts["a"].phantom
    assert part is not None
    assert part.config.difficulty == 0.25


def test_paths_in_a_phantom_count_from_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = {"ascidian": ["cells.motion.file"], "zebrafish": ["anatomy.terk", "anatomy.h2b"], "embryo": []}
    for name, keys in shipped.items():
        files = files_of(load_phantom(CONFIGS / "phantom" / f"{name}.yaml"))
        assert sorted(files) == sorted(keys)
        assert all(path.is_absolute() and path.is_file() for path in files.values())


def test_a_phantoms_stage_depends_on_what_its_files_hold_and_not_on_where_they_lie(tmp_path):
    source = CONFIGS / "phantom" / "ascidian.yaml"
    keys = []
    for place, more in (("one", ""), ("two", ""), ("three", "\n")):
        (tmp_path / place / "phantom").mkdir(parents=True)
        (tmp_path / place / "demo_data").mkdir()
        config = tmp_path / place / "phantom" / "ascidian.yaml"
        config.write_text(source.read_text())
        lineage = gzip.decompress((CONFIGS / "demo_data" / "phallusia_Pm03.csv.gz").read_bytes())
        packed = gzip.compress(lineage + more.encode(), mtime=0)
        (tmp_path / place / "demo_data" / "phallusia_Pm03.csv.gz").write_bytes(packed)
        stage = phantom_stage(Simulated(config=load_phantom(config)), RunFolder(tmp_path / "run"))
        keys.append(stage_key(stage.name, stage.settings, stage.inputs, (), stage.code))
    assert keys[0] == keys[1] != keys[2]
