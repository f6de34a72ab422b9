"""What is compared in the benchmarks of fusion: every kind, its variants, and a rival that needs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel

import fusion
from fusion import Fuser
from fusion.diffusion.ddfm import PRIOR, DDFMConfig
from fusion.diffusion.dmf_lp import DMFLPConfig
from fusion.diffusion.literal import LiteralConfig
from fusion.guidance.config import PICTURE_STEPS, GuidanceConfig
from fusion.losses.figure_scales import LEVELS
from fusion.movies import held
from volumes import Volume
from volumes.errors import ConfigError

BASE = "max"
"""What the gains are over."""
PYRAMID = "lpf"
"""What the lost edges are compared with."""
OURS = "dmf-lp"
ADDED = 0.15
"""Share of the minimum in the rival."""

RULES: dict[str, Callable[[], Fuser]] = {
    "max": lambda: fusion.MaxConfig(match="none").build(),
    "mean": lambda: fusion.MeanConfig(match="none").build(),
    "weighted": lambda: fusion.WeightedConfig(match="none").build(),
    "weighted-entropy": lambda: fusion.WeightedConfig(weights="local-entropy", match="none").build(),
    "dwt": lambda: fusion.DWTConfig(match="none").build(),
    "lpf": lambda: fusion.LPFConfig(match="none").build(),
    "lpf-max-base": lambda: fusion.LPFConfig(base="max", match="none").build(),
    "lpf-entropy-base": lambda: fusion.LPFConfig(base="entropy", match="none").build(),
    "lpf-max-abs": lambda: fusion.LPFConfig(detail="max-abs", match="none").build(),
    "max+0.15min": lambda: MaxAndMin(),
    "max-guided": lambda: GuidedMax(),
}
"""Kinds without weights."""
TRAINED: Mapping[str, Mapping[str, object]] = {
    "dmf-lp": {},
    "dmf-lp-2": {"steps": 2},
    "dmf-lp-4": {"steps": 4},
    "dmf-lp-unguided": {"guidance": {"steps": 0}},
    "dmf-lp-guided": {"guidance": {"steps": PICTURE_STEPS}},
    "dmf-lp-edges": {"guidance": {"white": 6.0}},
}
"""Variants of the trained kind, and what they set; of single planes the guided one is the same as the first."""
LITERAL, PRIOR_KIND = "dmf-lp-literal", "ddfm"
KINDS = (*RULES, *TRAINED, LITERAL, PRIOR_KIND)
ONE_EACH = ("max", "mean", "weighted", "dwt", "lpf", "max+0.15min", "dmf-lp", LITERAL, PRIOR_KIND)
"""One of each kind: variants of one kind crowd a ranking."""


@dataclass(frozen=True)
class MaxAndMin:
    """F = max Sₘ + 0.15 min Sₘ, on the sources' own scale."""

    share: float = ADDED

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32."""
        arrays = [np.asarray(volume.array, np.float32) for volume in volumes]
        return volumes[0].with_data(np.maximum.reduce(arrays) + np.float32(self.share) * np.minimum.reduce(arrays))


@dataclass(frozen=True)
class GuidedMax:
    """The maximum, guided as ``dmf-lp`` is: what guidance does without a network. Sources are on 0–255."""

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32."""
        from fusion.guidance.ascent import ascended

        sources = np.stack([np.asarray(volume.channel(), np.float32) for volume in volumes]) / np.float32(LEVELS)
        config = GuidanceConfig()
        steps = config.steps_of(sources.shape[1], clean=True)
        return volumes[0].with_data(np.float32(LEVELS) * ascended(sources.max(0), sources, config, steps)[None])


@dataclass(frozen=True)
class Named:
    """A fuser that is compared.

    Parameters
    ----------
    name : one of :data:`KINDS`.
    fuser : takes the sources' scale as it is.
    sha : the first 12 digits of the weights' sha256; empty where nothing is learnt.
    """

    name: str
    fuser: Fuser = field(compare=False)
    sha: str = ""


def named(
    names: Sequence[str] | None, weights: Path | None = None, literal: Path | None = None, prior: Path | None = None
) -> list[Named]:
    """The fusers of these names; without names all whose weights are there. ``ddfm`` is slow: its must be given then.

    Parameters
    ----------
    names : of :data:`KINDS`.
    weights : of ``dmf-lp``; None for those that come with the package.
    literal, prior : of ``dmf-lp-literal`` and of ``ddfm``; None for those that come with the package, if any.

    Raises
    ------
    ConfigError : a name that is none, or whose weights are not there; a file that is not.
    """
    files = weight_files(weights, literal, prior)
    for file in (weights, literal, prior):
        if file is not None and not file.is_file():
            raise ConfigError("is no file", field="weights", value=str(file))
    unknown = sorted(set(names or ()) - set(KINDS))
    if unknown:
        raise ConfigError("are no kinds", field="--kinds", value=unknown, remedy=f"Known: {', '.join(KINDS)}")
    there = [name for name in KINDS if _there(name, files) and (name != PRIOR_KIND or prior is not None)]
    chosen = [name for name in KINDS if name in names] if names else there
    for name in chosen:
        if not _there(name, files):
            raise ConfigError("has no weights", field="--kinds", value=name, remedy="Name their file, see --help")
    return [_named(name, files.get(name)) for name in chosen]


def measuring(fuser: Fuser) -> Fuser | None:
    """The same fuser, measuring the scale of what it is given; None where it has no ``match``."""
    config = getattr(fuser, "config", None)
    if not isinstance(config, BaseModel) or "match" not in type(config).model_fields:
        return None
    return held(fuser, "percentile")


def weight_files(
    weights: Path | None = None, literal: Path | None = None, prior: Path | None = None
) -> Mapping[str, Path | None]:
    """The file of each learnt kind's weights; None where none is known."""
    from fusion.diffusion.inference import SHIPPED

    ours = dict.fromkeys(TRAINED, weights if weights is not None else SHIPPED["show"])
    return {**ours, LITERAL: literal, PRIOR_KIND: prior if prior is not None else PRIOR}


def _there(name: str, files: Mapping[str, Path | None]) -> bool:
    file = files.get(name)
    return name in RULES or (file is not None and file.is_file())


def _named(name: str, file: Path | None) -> Named:
    if name in RULES:
        return Named(name, RULES[name]())
    assert file is not None  # noqa: S101 - :func:`named` has looked
    return Named(name, _learnt(name, file), hashlib.sha256(file.read_bytes()).hexdigest()[:12])


def _learnt(name: str, file: Path) -> Fuser:
    if name == LITERAL:
        return LiteralConfig(weights=file, match="none").build()
    if name == PRIOR_KIND:
        return DDFMConfig(weights=file, match="none").build()
    return DMFLPConfig.model_validate({"weights": file, "match": "none", **TRAINED[name]}).build()
