"""What an experiment is: its sources, its stages, its truth; frozen, typed, and closed to unknown keys.

A YAML file holds only what differs from the defaults here. Lengths are in µm, angles in degrees, times in seconds.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments import strict_yaml
from fusion.config import FuserConfig
from registration.config import RegistrarConfig
from tracking3d.config import LinkerConfig
from tracking3d.segment.config import SegmenterConfig
from volumes.errors import ConfigError
from volumes.io.layout import Layout

Name = Annotated[str, Field(pattern=r"^[\w][\w. -]{0,63}$")]
"""A name that can be a file's: letters, digits, space, dot, dash and underscore."""
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]


class Closed(BaseModel):
    """Base of all parts of a config: immutable and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Displaced(Closed):
    """A known rigid motion, applied to a real volume so that its registration can be scored against the truth."""

    rotation_deg: Triple = Field(description="rotation vector over (z, y, x), degrees")
    shift_um: Triple
    noise: Share = 0.02
    seed: int = 0


class Source(Closed):
    """One acquisition: a file and what it does not say itself."""

    file: Path
    modality: str
    unit: str | None = Field(None, description="unit of length, where the file states none")
    affine: Literal["sform", "qform", "pixdim"] | None = Field(None, description="which NIfTI affine to trust")
    nonfinite: Literal["error", "mask"] = "error"
    layout: Layout | None = Field(None, description="axes, sizes and spacing of a stack without metadata")
    movie: bool = Field(False, description="the file holds several time points")
    displaced: Displaced | None = None
    simulated: bool = Field(False, description="the voxels themselves come from a simulation")
    note: str = ""
    attribution: str = ""

    @property
    def is_movie(self) -> bool:
        """Whether the source is a TimeLapse."""
        return self.movie or (self.layout is not None and "T" in self.layout.axes)


class Observed(Closed):
    """How a true lineage is turned into detections: drop-outs, false positives, jitter."""

    drop: Share = 0.05
    spurious: Share = 0.02
    jitter_um: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    seed: int = 0


class Cells(Closed):
    """Detections from a table instead of a segmentation; with ``observed``, a true lineage to be degraded first."""

    file: Path
    unit: str = "um"
    dt_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    observed: Observed | None = None
    note: str = ""
    attribution: str = ""


class Experiment(Closed):
    """One specimen from its files to its report; every stage is optional."""

    name: Name
    title: str = ""
    summary: str = ""
    sources: dict[Name, Source] = {}
    reference: str | None = Field(None, description="the source that stays; left out: the first")
    register_: RegistrarConfig | None = Field(None, alias="register", description="bring all sources onto one grid")
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
        for problem in _contradictions(self):
            raise ValueError(problem)
        return self

    @property
    def fixed(self) -> str:
        """The name of the reference source."""
        return self.reference or next(iter(self.sources))

    @property
    def moving(self) -> tuple[str, ...]:
        """The names of all sources but the reference."""
        return tuple(name for name in self.sources if name != self.fixed)

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


Config: TypeAlias = Experiment | Suite


def load(path: Path, overrides: dict[str, str] | None = None) -> Config:
    """The experiment or suite that a YAML file describes, its paths made absolute from the file's own folder.

    Parameters
    ----------
    path : the YAML file.
    overrides : dotted key → value as text, e.g. ``{"fuse.base": "max"}``; they replace what the file says.

    Raises
    ------
    ConfigError : the file cannot be read safely, or a key is unknown, mistyped, of the wrong type or out of range.
    """
    values = strict_yaml.load(path)
    for dotted, text in (overrides or {}).items():
        _override(values, dotted, strict_yaml.scalar(text))
    kind = Suite if "parts" in values else Experiment
    try:
        config = kind.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise _explained(path, error) from error
    return _absolute(config, path.resolve().parent)


def settings(experiment: Experiment, *fields: str) -> str:
    """The named parts of an experiment as JSON, without what no result depends on: notes, and where a file lies.

    A stage's key is made of this and of the files' contents, so that a folder may be moved and a note be mended.
    """
    words = {"note", "attribution", "file"}
    without: dict[str, Any] = {"sources": {"__all__": words}, "cells": words, "truth_labels": words}
    return experiment.model_dump_json(include=set(fields), exclude=without)


def dump(config: Config) -> str:
    """The resolved config as YAML: every default written out, keys in the schema's order."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def _contradictions(experiment: Experiment) -> list[str]:
    e, found = experiment, []
    if not e.sources and e.cells is None:
        found.append("needs at least one entry in sources, or cells")
    if e.reference is not None and e.reference not in e.sources:
        found.append(f"reference {e.reference!r} is not among the sources {sorted(e.sources)}")
    if e.register_ and len(e.sources) < 2:
        found.append("register needs at least two sources")
    if e.sources and e.reference in (None, *e.sources) and e.sources[e.fixed].displaced:
        found.append(f"the reference {e.fixed!r} cannot be displaced; displace another source")
    if e.register_ and any(source.is_movie for source in e.sources.values()):
        found.append("register takes single volumes; a movie's frames must share a grid already")
    if e.fuse and len({source.is_movie for source in e.sources.values()}) > 1:
        found.append("fuse takes volumes or movies, not both")
    if any(source.is_movie and source.displaced for source in e.sources.values()):
        found.append("displaced moves a single volume, not a movie")
    if e.fuse and len(e.sources) < 2:
        found.append("fuse needs at least two sources")
    if e.segment_on not in (None, "fused", *e.sources):
        found.append(f"segment_on {e.segment_on!r} is neither 'fused' nor among {sorted(e.sources)}")
    if e.segment_on == "fused" and not e.fuse:
        found.append("segment_on is 'fused', but there is no fuse stage")
    if e.segment and not e.sources:
        found.append("segment needs a source")
    if e.cells and e.segment:
        found.append("cells come either from a table (cells) or from segment, not from both")
    if e.link and not (e.segment or e.cells):
        found.append("link needs segment or cells")
    if e.truth_follows_cells and not e.truth_labels:
        found.append("truth_follows_cells needs truth_labels")
    if e.truth_labels and not e.segment:
        found.append("truth_labels needs segment")
    return found


def _override(values: dict[str, Any], dotted: str, value: object) -> None:
    *path, last = dotted.split(".")
    node = values
    for key in path:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError("has no keys below it", field=dotted, remedy="Check the --set key")
    node[last] = value


def _absolute(config: Config, folder: Path) -> Config:
    """Paths count from the config's own folder, so that a run does not depend on where it was started."""
    if isinstance(config, Suite):
        parts = {name: _absolute(part, folder) for name, part in config.parts.items()}
        return config.model_copy(update={"parts": parts})
    changes: dict[str, object] = {"sources": {n: _placed(s, folder) for n, s in config.sources.items()}}
    if config.cells:
        changes["cells"] = _placed(config.cells, folder)
    if config.truth_labels:
        changes["truth_labels"] = _placed(config.truth_labels, folder)
    return config.model_copy(update=changes)


def _placed(entry: Source | Cells, folder: Path) -> Source | Cells:
    return entry.model_copy(update={"file": folder / entry.file.expanduser()})


def _explained(path: Path, error: ValidationError) -> ConfigError:
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    remedy = f"{len(others)} more problems follow" if others else None
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _known_keys(), n=1, cutoff=0.6)
        remedy = f"Did you mean {near[0]!r}?" if near else "Remove it, or check docs/config.md"
    value = None if isinstance(first["input"], dict) else first["input"]
    return ConfigError(_plain(first["msg"]), file=path, field=where or "the whole", value=value, remedy=remedy)


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return {"Extra inputs are not permitted": "no such key", "Field required": "is missing"}.get(text, text)


def _known_keys() -> list[str]:
    keys: set[str] = set()
    for definition in json_schema()["$defs"].values():
        keys |= set(definition.get("properties", {}))
    return sorted(keys)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Config).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fusetrack experiment", **schema}
