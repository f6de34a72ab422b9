"""What a pair of modalities is registered with when nobody says: motion, contrast and search, each row measured.

The figures behind the rows are in docs/modalities.md; ``python -m experiments.bench.modalities`` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from registration.contrast import Contrast
from registration.linear.linear import RigidConfig, SimilarityConfig
from registration.projection.projection import ProjectionConfig
from volumes.volume import Volume

ChosenConfig: TypeAlias = RigidConfig | SimilarityConfig | ProjectionConfig

FAMILIES: Mapping[str, str] = {
    "light sheet": "fluorescence",
    "light_sheet": "fluorescence",
    "confocal": "fluorescence",
    "two-photon": "fluorescence",
    "optical": "brightfield",
    "phase": "brightfield",
    "spect": "pet",
}
"""Modalities (lower case) that are registered as another is; the others stand for themselves."""


@dataclass(frozen=True)
class Default:
    """One row of the table: what registers a pair of modalities, and what each of the two is looked at through.

    Parameters
    ----------
    registrar : with its settings; channels and seed are the caller's.
    contrasts : for each family whose raw intensities are not what should be looked at.
    """

    registrar: ChosenConfig
    contrasts: Mapping[str, Contrast]


@dataclass(frozen=True)
class Choice:
    """What was chosen for two volumes.

    Parameters
    ----------
    pair : the row's name, or ``any`` where no row knows the pair.
    registrar : the config that registers them.
    fixed, moving : the contrast each is looked at through.
    """

    pair: str
    registrar: ChosenConfig
    fixed: Contrast = "raw"
    moving: Contrast = "raw"

    def __str__(self) -> str:
        seen = "raw" if self.fixed == self.moving == "raw" else f"{self.fixed} and {self.moving}"
        return f"{self.pair}: {self.registrar.kind} on {seen} intensities"


LYING = RigidConfig(rotations=0)
"""Only rotations near the way the volumes lie: for contrasts that a wrong rotation fits nearly as well."""

TABLE: Mapping[frozenset[str], Default] = {
    frozenset(names): default
    for names, default in (
        (("mri",), Default(RigidConfig(), {})),
        (("mri", "ct"), Default(RigidConfig(), {})),
        (("mri", "pet"), Default(RigidConfig(), {})),
        (("fluorescence",), Default(RigidConfig(), {})),
        (("fluorescence", "swir"), Default(RigidConfig(), {})),
        (("fluorescence", "ct"), Default(SimilarityConfig(), {"fluorescence": "faint"})),
        (("fluorescence", "mri"), Default(RigidConfig(), {"fluorescence": "faint"})),
        (("swir", "ct"), Default(SimilarityConfig(), {})),
        (("swir", "mri"), Default(RigidConfig(), {})),
        (("brightfield", "fluorescence"), Default(LYING, {"brightfield": "phase", "fluorescence": "faint"})),
        (("brightfield", "swir"), Default(LYING, {"brightfield": "phase"})),
        (("brightfield", "ct"), Default(LYING, {"brightfield": "phase"})),
        (("brightfield", "mri"), Default(LYING, {"brightfield": "phase"})),
    )
}
"""Unordered families of two volumes → what registers them; one name where both are of one family."""

FALLBACK = Default(RigidConfig(), {})
"""For pairs that no row knows."""
PLANE = ProjectionConfig()
"""Where one of the two is a single plane."""


def choose(fixed: Volume, moving: Volume, fixed_channel: int | str = 0, moving_channel: int | str = 0) -> Choice:
    """The defaults for two volumes, by the modalities of the channels that are registered.

    Raises
    ------
    ContentError : no such channel.
    """
    families = family(fixed, fixed_channel), family(moving, moving_channel)
    name = " – ".join(sorted(families))
    if 1 in (fixed.grid.shape[0], moving.grid.shape[0]):
        return Choice(f"{name}, one of them a plane", PLANE)
    default = TABLE.get(frozenset(families), FALLBACK)
    known = name if frozenset(families) in TABLE else f"any ({name})"
    seen = [default.contrasts.get(one, "raw") for one in families]
    return Choice(known, default.registrar, seen[0], seen[1])


def family(volume: Volume, channel: int | str = 0) -> str:
    """The modality of a channel in lower case, or the one it is registered as.

    Raises
    ------
    ContentError : no such channel.
    """
    volume.channel(channel)
    position = [c.name for c in volume.channels].index(channel) if isinstance(channel, str) else channel
    name = volume.channels[position].modality.lower()
    return FAMILIES.get(name, name)
