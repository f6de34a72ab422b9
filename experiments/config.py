"""What an experiment is: its sources, its stages, its truth; frozen, typed, and closed to unknown keys.

A YAML file holds only what differs from the defaults here. Lengths are in µm, angles in degrees, times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from experiments import strict_yaml
from experiments.contradictions import contradictions, of_phantom
from experiments.entries import Cells, Closed, Name, Pair, Simulated, Source
from experiments.loading import override, placed, validated
from experiments.phantom_file import load_phantom
from fusion.config import FuserConfig
from registration.config import RegistrarConfig
from registration.drift.config import DriftConfig
from tracking3d.config import LinkerConfig
from tracking3d.segment.config import SegmenterConfig
from volumes.errors import ConfigError


class Experiment(Closed):
    """One specimen from its files to its report; every stage is optional."""

    name: Name
    title: str = ""
    summary: str = ""
    phantom: Simulated | None = Field(None, description="a phantom, drawn first, in the place of sources and truth")
    sources: dict[Name, Source] = Field({})
    reference: str | None = Field(None, description="the source that stays; left out: the first")
    register_: RegistrarConfig | None = Field(None, alias="register", description="bring all sources onto one grid")
    pairs: tuple[Pair, ...] = Field(
        (), description="which sources are registered to each other; one that is in no pair goes to the reference"
    )
    drift: DriftConfig | None = Field(None, description="measure how each movie drifts, and hold it still")
    time_base: Literal["nearest", "linear"] = Field(
        "nearest", description="what other sources show at the reference's moments: their nearest frame, or between two"
    )
    allow_failed: bool = Field(False, description="go on with a registration whose status is FAILED")
    fuse: FuserConfig | None = Field(None, description="turn the registered sources into one volume")
    segment: SegmenterConfig | None = Field(None, description="find the cells")
    segment_on: str | None = Field(None, description="a source, or 'fused'; left out: fused, else the reference")
    cells: Cells | None = Field(None, description="detections from a table instead of a segmentation")
    link: LinkerConfig | None = Field(None, description="follow the cells through time")
    truth_labels: Source | None = Field(None, description="labels that the segmentation is scored against")
    truth_follows_cells: bool = Field(
        False, description="the numbers of truth_labels stay with a cell over time, so the links are scored too"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        for problem in (*of_phantom(self), *contradictions(self)):
            raise ValueError(problem)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all sources; of a phantom that is not drawn yet, those that may become one."""
        return tuple(self.sources) or (self.phantom.names if self.phantom else ())

    @property
    def fixed(self) -> str:
        """The name of the reference source."""
        return self.reference or self.names[0]

    @property
    def moving(self) -> tuple[str, ...]:
        """The names of all sources but the reference."""
        return tuple(name for name in self.sources if name != self.fixed)

    @property
    def pairings(self) -> tuple[Pair, ...]:
        """All pairs to register: those given, and the reference with each source that none of them names."""
        named = {name for pair in self.pairs for name in (pair.fixed, pair.moving)}
        rest = (Pair(fixed=self.fixed, moving=name) for name in self.moving if name not in named)
        return (*self.pairs, *rest)

    @property
    def segmented(self) -> str:
        """What the segmenter works on: a source's name, or ``fused``."""
        return self.segment_on or ("fused" if self.fuse else self.fixed)


class Suite(Closed):
    """Several experiments under one report."""

    name: Name
    title: str = ""
    summary: str = ""
    parts: dict[Name, Experiment] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> Suite:
        names = [part.name for part in self.parts.values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two parts are both named {name!r}: their figures could not be told apart")
        return self


Config: TypeAlias = Experiment | Suite


def load(path: Path, overrides: Mapping[str, str] | None = None) -> Config:
    """The experiment or suite that a YAML file describes, its paths made absolute from the file's own folder.

    Parameters
    ----------
    path : the YAML file.
    overrides : dotted key → value as text, e.g. ``{"fuse.base": "max"}``; they replace what the file says.

    Raises
    ------
    ConfigError : the file cannot be read safely, or a key is unknown, mistyped, of the wrong type or out of range.
    """
    values, changes, folder = strict_yaml.load(path), dict(overrides or {}), path.resolve().parent
    inside = {prefix: _taken(changes, f"{prefix}phantom.config.") for prefix in _parts(values)}
    override(values, changes)
    for prefix, part in _parts(values).items():
        _read_phantom(part, folder, inside.get(prefix, {}))
    kind: type[Experiment] | type[Suite] = Suite if "parts" in values else Experiment
    # Paths count from the config's own folder, so that a run does not depend on where it was started.
    return placed(validated(kind, values, path), folder)


def settings(experiment: Experiment, *fields: str) -> str:
    """The named parts of an experiment as JSON, without what no result depends on: notes, and where a file lies.

    A stage's key is made of this and of the files' contents, so that a folder may be moved and a note be mended.
    """
    words = {"note", "attribution", "file"}
    files = {"start", "fixed_mask", "moving_mask"}
    without: dict[str, Any] = {"sources": {"__all__": words}, "cells": words, "truth_labels": words}
    without |= {"register_": {"file"}, "pairs": {"__all__": {"register_": {"file"}, **dict.fromkeys(files, True)}}}
    return experiment.model_dump_json(include=set(fields), exclude=without)


def dump(config: Config) -> str:
    """The resolved config as YAML: every default written out, keys in the schema's order, a phantom's among them."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Config).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fusetrack experiment", **schema}


def _parts(values: Mapping[str, Any]) -> dict[str, object]:
    """Each experiment's values by the beginning of its dotted keys: those of a suite's parts, or the whole."""
    parts = values.get("parts")
    return {f"parts.{name}.": part for name, part in parts.items()} if isinstance(parts, dict) else {"": values}


def _taken(changes: dict[str, str], prefix: str) -> dict[str, str]:
    """The changes below a key, which leave ``changes``."""
    inside = [key for key in changes if key.startswith(prefix)]
    return {key.removeprefix(prefix): changes.pop(key) for key in inside}


def _read_phantom(values: object, folder: Path, changes: Mapping[str, str]) -> None:
    """Put what a phantom's own file says in the place of its path; what is of the wrong type is refused later."""
    part = values.get("phantom") if isinstance(values, dict) else None
    if not isinstance(part, dict) and changes:
        raise ConfigError("there is no phantom to change", field=f"phantom.config.{next(iter(changes))}")
    if not isinstance(part, dict):
        return
    if isinstance(part.get("config"), str):
        file = folder / Path(part["config"]).expanduser()
        part["config"] = load_phantom(file, changes).model_dump(mode="json", by_alias=True)
    elif isinstance(part.get("config"), dict):
        override(part["config"], changes)
