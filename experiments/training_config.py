"""A training's own YAML file: what is trained, and how; read as strictly as an experiment's, and its schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import strict_yaml
from experiments.entries import Closed, Name
from experiments.loading import override, placed, validated
from experiments.loop import LoopConfig
from experiments.tasks.config import TaskConfig


class TrainingExperiment(Closed):
    """One network: its task, and the loop that trains it."""

    name: Name
    title: str = ""
    task: TaskConfig
    loop: LoopConfig = LoopConfig()


def load_training(path: Path, overrides: Mapping[str, str] | None = None) -> TrainingExperiment:
    """The training that a YAML file describes; its paths count from the file's own folder.

    Parameters
    ----------
    path : the YAML file.
    overrides : dotted key → value as text, e.g. ``{"loop.steps": "2000"}``; they replace what the file says.

    Raises
    ------
    ConfigError : the file cannot be read safely, or a key is unknown, mistyped, of the wrong type or out of range.
    """
    values = strict_yaml.load(path)
    override(values, overrides or {})
    return placed(validated(TrainingExperiment, values, path), path.resolve().parent)


def resolved(config: TrainingExperiment) -> dict[str, Any]:
    """The config with every default written out, as a training's folder holds it."""
    return config.model_dump(mode="json", by_alias=True)


def training_schema() -> dict[str, Any]:
    """The JSON Schema of a training's file."""
    schema = TrainingExperiment.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fusetrack training"}
