"""An endless source of training pairs: small random pieces of tissue before one or more instruments, with the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator
from scipy import ndimage

from phantom.acquisition import Acquisition
from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.tissues import TISSUES
from phantom.cells.cells import Cells
from phantom.cells.history import History
from phantom.cells.lives import Looks, newborn, put
from phantom.cells.packing import placed
from phantom.cells.room import Room, room
from phantom.cells.texture import Look
from phantom.instruments.config import InstrumentKind
from phantom.pose import posed
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Triple
from volumes.volume import Volume, from_array

Kind = Literal["light_sheet", "confocal", "brightfield", "swir", "ct", "mri"]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dense = Annotated[float, Field(gt=0, le=0.5)]
NODES = 24
"""The piece's tissue is drawn on so many nodes along each side."""
TRIES = 50
"""Draws in a row that may come out too blank before it is said that the config asks for what cannot be seen."""
MOST_NUCLEI = 5000
"""A piece with more nuclei than this is no small piece."""
RADIUS_UM = 5.0
"""Median radius of the nuclei; what matters is its ratio to the voxels."""


class SamplesConfig(BaseModel):
    """What the pieces are like. Of two numbers, low and high, one between them is drawn evenly for each piece."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[Count, Count, Count] = (64, 64, 64)
    instruments: tuple[Kind, ...] = Field(("light_sheet",), min_length=1, description="all of them see the same piece")
    diameter_voxels: tuple[Positive, Positive] = (11.0, 18.0)
    anisotropy: tuple[Positive, Positive] = (1.0, 4.0)
    density: tuple[Dense, Dense] = (0.05, 0.4)
    size_spread: tuple[NotNegative, NotNegative] = (0.0, 0.2)
    aspect: tuple[NotNegative, NotNegative] = (0.0, 0.3)
    bumps: tuple[NotNegative, NotNegative] = (0.0, 0.03)
    brightness_spread: tuple[NotNegative, NotNegative] = (0.05, 0.55)
    hardest: float = Field(1.0, ge=0, le=1, description="difficulty is hardest × u^power, u even between 0 and 1")
    power: Positive = 1.5
    least_correlation: float = Field(
        0.2,
        ge=-1,
        lt=1,
        description="of the first instrument's picture with the nuclei; a blanker piece is drawn again",
    )
    misaligned_voxels: NotNegative = Field(0.0, description="deviation of the other instruments' shift along each axis")

    @field_validator("instruments")
    @classmethod
    def _each_once(cls, value: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names an instrument twice; a piece has one picture of each")
        return value

    @field_validator("diameter_voxels", "anisotropy", "density", "size_spread", "aspect", "bumps", "brightness_spread")
    @classmethod
    def _low_before_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("needs the lower number first")
        return value


@dataclass(frozen=True, eq=False)
class Sample:
    """One piece; all volumes lie on one grid.

    Parameters
    ----------
    images : what each instrument writes.
    clean : the same without any noise, of instruments in their place.
    labels : the nuclei's numbers, 0 outside.
    difficulty : that it was drawn with.
    """

    images: Mapping[str, Volume]
    clean: Mapping[str, Volume]
    labels: Volume
    difficulty: float


def samples(config: SamplesConfig, seed: int) -> Iterator[Sample]:
    """Pieces without end, the same for the same seed; piece k does not depend on how many were asked for before.

    Raises
    ------
    ConfigError : pieces come out too blank to learn from, again and again.
    """
    index = 0
    while True:
        yield _sample(config, seed, index)
        index += 1


def _sample(config: SamplesConfig, seed: int, index: int) -> Sample:
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, index, attempt])
        sample = _drawn(config, rng)
        mask = sample.labels.channel() > 0
        image = sample.images[config.instruments[0]].channel()
        if 0 < mask.mean() < 1 and image.std() > 0:
            seen = float(np.corrcoef(image.ravel(), mask.ravel())[0, 1])
            if seen >= config.least_correlation:
                return sample
    raise ConfigError(
        f"{TRIES} pieces in a row show no more of the nuclei than this",
        field="least_correlation",
        value=config.least_correlation,
        remedy="Ask for less, or make the pieces easier (hardest)",
    )


def _drawn(config: SamplesConfig, rng: np.random.Generator) -> Sample:
    difficulty = config.hardest * float(rng.random()) ** config.power
    lateral = 2 * RADIUS_UM / rng.uniform(*config.diameter_voxels)
    spacing = (lateral * rng.uniform(*config.anisotropy), lateral, lateral)
    extent = np.asarray(config.shape) * spacing + 4 * RADIUS_UM
    anatomy = _tissue(extent, rng)
    space = room(anatomy, anatomy.centre_um, extent, RADIUS_UM / 2, False)
    history = History(np.zeros(1), (_population(config, space, rng),))
    look = Look.at(difficulty)
    taken: dict[str, Acquisition] = {}
    for name in config.instruments:
        taken[name] = _acquisition(config, name, spacing, anatomy, history, look, difficulty, rng)
    images = {name: _in_memory(acquisition.image()[0]) for name, acquisition in taken.items()}
    clean = {name: _in_memory(acquisition.clean()[0]) for name, acquisition in taken.items()}
    labels = _in_memory(taken[config.instruments[0]].labels()[0])
    return Sample(images, clean, labels, difficulty)


def _acquisition(
    config: SamplesConfig,
    name: Kind,
    spacing_um: Triple,
    anatomy: Anatomy,
    history: History,
    look: Look,
    difficulty: float,
    rng: np.random.Generator,
) -> Acquisition:
    """The piece before one instrument; all but the first are shifted a little where the config says so."""
    asked = {"kind": name, "shape": config.shape, "spacing_um": spacing_um}
    shift = config.misaligned_voxels * rng.standard_normal(3) * (name != config.instruments[0])
    target = anatomy.centre_um + shift * spacing_um
    instrument = _KINDS.validate_python({**asked, "looks_at_um": tuple(target.tolist())})
    pose = posed(instrument, anatomy.centre_um, anatomy.extent_um, 0, name)
    camera = instrument.build(difficulty)
    return Acquisition(name, camera, pose, (0.0,), anatomy, history, look, int(rng.integers(1 << 62)))


def _population(config: SamplesConfig, space: Room, rng: np.random.Generator) -> Cells:
    """Nuclei that lie still, in contact where they are dense; a few are in mitosis."""
    looks = Looks(
        radius_um=RADIUS_UM,
        size_spread=rng.uniform(*config.size_spread),
        aspect=rng.uniform(*config.aspect),
        bumps=rng.uniform(*config.bumps),
        brightness_spread=rng.uniform(*config.brightness_spread),
        body=1.3,
    )
    count = max(1, round(rng.uniform(*config.density) * space.volume_um3 / (4 / 3 * np.pi * RADIUS_UM**3)))
    if count > MOST_NUCLEI:
        raise ConfigError(
            f"one piece would hold {count} nuclei; {MOST_NUCLEI} are allowed",
            field="shape, diameter_voxels, anisotropy, density",
            value=(config.shape, config.diameter_voxels, config.anisotropy, config.density),
            remedy="Make the piece smaller, or its nuclei larger",
        )
    lives = newborn(count, 1, looks, rng)
    lives = put(lives, placed(lives.seen(0.0, 1.0), space, rng))
    return lives.seen(0.0, 1.0)


def _tissue(extent_um: AnyArray, rng: np.random.Generator) -> Anatomy:
    """Mostly living tissue with blobs of two others, and a fine structure; the box's middle is the origin."""
    spacing = np.asarray(extent_um) / NODES
    codes = np.array([code for code, tissue in enumerate(TISSUES) if tissue.living])
    others = np.array([code for code, tissue in enumerate(TISSUES) if not tissue.living])
    first, second = (_smooth(rng, 3.0) for _ in range(2))
    labels = np.full((NODES,) * 3, rng.choice(codes), np.uint8)
    labels[first > rng.uniform(1.0, 2.5)] = rng.choice(codes)
    labels[second > rng.uniform(1.2, 3.0)] = rng.choice(others)
    texture = np.exp(0.3 * _smooth(rng, 1.0)).astype(np.float32)
    where = {"spacing_um": spacing.tolist(), "origin_um": (-(NODES - 1) / 2 * spacing).tolist()}
    return Anatomy(
        from_array(labels, modality="labels", **where),
        from_array(texture / texture.mean(), modality="optical", **where),
    )


def _smooth(rng: np.random.Generator, sigma: float) -> AnyArray:
    """Smooth noise on the nodes, mean 0 and deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((NODES,) * 3), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def _in_memory(volume: Volume) -> Volume:
    return volume.with_data(volume.array)


_KINDS: TypeAdapter[InstrumentKind] = TypeAdapter(InstrumentKind)
