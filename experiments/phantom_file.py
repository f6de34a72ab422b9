"""A phantom's own YAML file, read as strictly as an experiment's, and its schema for editors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import strict_yaml
from experiments.loading import override, paths, placed, validated
from phantom.config import PhantomConfig


def load_phantom(path: Path, overrides: Mapping[str, str] | None = None) -> PhantomConfig:
    """The phantom that a YAML file describes; its paths count from the file's own folder.

    Parameters
    ----------
    path : the YAML file.
    overrides : dotted key → value as text, e.g. ``{"difficulty": "0.2"}``; they replace what the file says.

    Raises
    ------
    ConfigError : the file cannot be read safely, or a key is unknown, mistyped, of the wrong type or out of range.
    """
    values = strict_yaml.load(path)
    override(values, overrides or {})
    return placed(validated(PhantomConfig, values, path), path.resolve().parent)


def files_of(config: PhantomConfig) -> dict[str, Path]:
    """The files that a phantom is drawn from: its real anatomy, its real lineage."""
    return paths(config)


def phantom_schema() -> dict[str, Any]:
    """The JSON Schema of a phantom's file."""
    schema = PhantomConfig.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fusetrack phantom"}
