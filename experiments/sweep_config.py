"""A sweep's own YAML file: one training, its variants, the seeds that each is trained with."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, model_validator

from experiments import strict_yaml
from experiments.entries import Closed, Name
from experiments.loading import placed, validated

LONGEST = 64
"""Characters of a variant's name, which is a folder's too."""


class SweepExperiment(Closed):
    """Trainings that differ in what is named here and in nothing else; the others are compared to the first variant."""

    name: Name
    title: str = ""
    base: Path = Field(description="the training's YAML file that all variants begin from")
    variants: dict[Name, dict[str, JsonValue]] = Field(
        {}, description="name → dotted key → value, e.g. {plain: {}, slow: {loop.learning_rate: 1e-4}}"
    )
    grid: dict[str, tuple[JsonValue, ...]] = Field(
        {}, description="dotted key → values: a variant for every combination, the first values first"
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="loop.seed of each variant's trainings")
    resamples: int = Field(9999, ge=100, description="of the units, for the intervals")

    @model_validator(mode="after")
    def _consistent(self) -> SweepExperiment:
        if bool(self.variants) == bool(self.grid):
            raise ValueError("needs either variants or a grid")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError("seeds must be different numbers from 0 up")
        if "loop.seed" in {key for changes in self.points.values() for key in changes}:
            raise ValueError("loop.seed is what seeds says")
        if self.grid and len(self.points) < len([*itertools.product(*self.grid.values())]):
            raise ValueError("two points of the grid would have one name: use variants, and name them")
        return self

    @property
    def points(self) -> dict[str, dict[str, JsonValue]]:
        """Variant → what it changes."""
        if self.variants:
            return dict(self.variants)
        changes = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        return {_name(change): change for change in changes}


def overrides(changes: Mapping[str, JsonValue], seed: int) -> dict[str, str]:
    """A variant's changes and a seed as the texts that ``--set`` would take."""
    return {key: json.dumps(value) for key, value in changes.items()} | {"loop.seed": str(seed)}


def load_sweep(path: Path) -> SweepExperiment:
    """The sweep that a YAML file describes; the path in it counts from the file's own folder.

    Raises
    ------
    ConfigError : the file cannot be read safely, or a key is unknown, mistyped, of the wrong type or out of range.
    """
    return placed(validated(SweepExperiment, strict_yaml.load(path), path), path.resolve().parent)


def sweep_schema() -> dict[str, Any]:
    """The JSON Schema of a sweep's file."""
    schema = SweepExperiment.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fusetrack sweep"}


def _name(changes: Mapping[str, JsonValue]) -> str:
    """Last words of the keys with their values, as a folder can be called: ``steps-4 ema-0.9``."""
    parts = (
        f"{key.rpartition('.')[2]}-{value if isinstance(value, str) else json.dumps(value)}"
        for key, value in changes.items()
    )
    return re.sub(r"[^\w. -]+", "_", " ".join(parts))[:LONGEST]
