"""Pictures to train fusion from: random patchworks, phantoms before their instruments, and real stacks.

A pool is drawn once for a seed; a batch cuts pieces from it, turns them, and degrades what is not degraded yet. Real
stacks count as clean; a stack that stands alone gets a partner, another look at the structure read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage

from experiments.entries import Closed
from experiments.tasks.data_folder import data_file
from experiments.tasks.heads import HeadsConfig
from phantom.patchwork import LOOKS, degraded, pictures_of, random_structure, structure_of
from phantom.patchwork.looks import MODALITY, Look
from phantom.samples import Kind, SamplesConfig, samples
from volumes.errors import ConfigError
from volumes.io import read
from volumes.shapes import AnyArray, ChannelVoxels, Shape3, Voxels

MODALITY_OF: dict[Kind, str] = {
    "light_sheet": "fluorescence",
    "confocal": "fluorescence",
    "brightfield": "brightfield",
    "swir": "SWIR",
    "ct": "CT",
    "mri": "MRI",
}
PARTNERS = (0.15, 0.35, 0.35, 0.15)
"""How often each of the looks is a partner: contrast, dense, functional, stain."""


class Stack(Closed):
    """One specimen's real volumes on one grid."""

    files: tuple[Path, ...] = Field((), description="paths from the config's own folder")
    data: tuple[str, ...] = Field((), description="instead: paths in the folder that FUSETRACK_DATA names")
    modalities: tuple[str, ...] = Field(min_length=1, description="one for each file")
    unit: str | None = Field(None, description="unit of length, where the files state none")
    pieces: int = Field(40, gt=0, description="slices that are given partners")

    @model_validator(mode="after")
    def _one_each(self) -> Stack:
        if bool(self.files) == bool(self.data) or len(self.modalities) != len(self.files or self.data):
            raise ValueError("needs either files or data, and one modality for each")
        return self


class PicturesConfig(Closed):
    """What the pool holds. Shares say how often a piece comes from where; those of an empty kind are not drawn."""

    planes: int = Field(400, ge=0, description="patchworks that are slices")
    solids: int = Field(40, ge=0, description="patchworks that are volumes")
    specimens: int = Field(0, ge=0, description="phantoms before two to three instruments each")
    stacks: tuple[Stack, ...] = ()
    heads: HeadsConfig | None = Field(None, description="slices of heads, drawn from maps of tissues; left out: none")
    plane_size: int = Field(160, ge=32)
    solid_size: int = Field(48, ge=16)
    hardest: float = Field(1.0, ge=0, le=1, description="greatest difficulty of the degradation")
    clean_share: float = Field(0.35, ge=0, le=1, description="share of the pieces whose sources stay clean")


@dataclass(frozen=True, eq=False)
class Scene:
    """One specimen in the pool.

    Parameters
    ----------
    clean : (sources, z, y, x) float32, about 0 to 1.
    taken : the same as instruments wrote them, on the same scale; None: to be degraded when a piece is cut.
    modalities : one for each source.
    steady : share of the pieces that keep their levels; others are made brighter or darker.
    """

    clean: ChannelVoxels
    modalities: tuple[str, ...]
    taken: ChannelVoxels | None = None
    steady: float = 0.0


def swapped(scene: Scene, other: Scene) -> Scene:
    """The first source of one specimen beside the others of another: what recovers as well from it uses one alone."""
    assert scene.taken is not None and other.taken is not None  # noqa: S101, PT018 - phantoms are taken
    number = min(len(scene.clean), len(other.clean))
    clean = np.concatenate([scene.clean[:1], other.clean[1:number]])
    taken = np.concatenate([scene.taken[:1], other.taken[1:number]])
    return Scene(clean, (scene.modalities[0], *other.modalities[1:number]), taken)


@dataclass(frozen=True, eq=False)
class Piece:
    """A cut of a scene: clean and degraded sources (sources, z, y, x), and what took them."""

    clean: ChannelVoxels
    degraded: ChannelVoxels
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """The pool of one seed, drawn when first asked for."""

    config: PicturesConfig
    seed: int = 0

    def pieces(self, rng: np.random.Generator, shape: Shape3, sources: int, count: int) -> list[Piece]:
        """Cuts of random scenes, turned and degraded.

        Parameters
        ----------
        rng : all randomness of the batch.
        shape : (z, y, x); with z = 1 slices are cut, of volumes along any axis.
        sources : of each piece; scenes with fewer are passed over, of more a choice is taken.
        count : how many.
        """
        pool = self._flat if shape[0] == 1 and (not self._solid or rng.random() < 0.8) else self._solid
        able = [scene for scene in pool if len(scene.clean) >= sources] or [
            scene for scene in (*self._flat, *self._solid) if len(scene.clean) >= sources
        ]
        if not able:
            raise ConfigError(f"no scene has {sources} sources", field="pictures", remedy="Draw patchworks as well")
        return [self._piece(able[int(rng.integers(len(able)))], shape, sources, rng) for _ in range(count)]

    def _piece(self, scene: Scene, shape: Shape3, sources: int, rng: np.random.Generator) -> Piece:
        chosen = rng.permutation(len(scene.clean))[:sources]
        both = [scene.clean[chosen]] if scene.taken is None else [scene.clean[chosen], scene.taken[chosen]]
        stacked = np.concatenate(both)
        cut = _turned(_cut(stacked, shape, rng), rng)
        modalities = tuple(scene.modalities[i] for i in chosen)
        clean = cut[:sources]
        if scene.taken is not None:
            return Piece(clean, cut[sources:], modalities)
        if not scene.steady or rng.random() >= scene.steady:
            clean = np.stack([_brightened(own, rng) for own in clean])
        difficulty = 0.0 if rng.random() < self.config.clean_share else self.config.hardest * rng.random()
        taken = [degraded(own, name, difficulty, rng) for own, name in zip(clean, modalities, strict=True)]
        return Piece(clean, np.stack(taken), modalities)

    @cached_property
    def _flat(self) -> list[Scene]:
        size, number = self.config.plane_size, self.config.planes
        drawn = [_patchwork((1, size, size), np.random.default_rng([self.seed, 0, i])) for i in range(number)]
        real = [
            _partnered(stack, size, np.random.default_rng([self.seed, 1, i, k]))
            for i, stack in enumerate(self._stacks)
            for k in range(self.config.stacks[i].pieces)
        ]
        return [*drawn, *real, *self._heads]

    @cached_property
    def _solid(self) -> list[Scene]:
        size = (self.config.solid_size,) * 3
        drawn = [_patchwork(size, np.random.default_rng([self.seed, 2, i])) for i in range(self.config.solids)]
        whole = [stack for stack in self._stacks if len(stack.clean) > 1]
        return [*drawn, *specimens(self.seed, self.config.specimens, self.config.solid_size), *whole]

    @cached_property
    def _heads(self) -> list[Scene]:
        config = self.config.heads
        if config is None:
            return []
        maps = config.maps()
        drawn = (config.picture(maps, np.random.default_rng([self.seed, 4, i])) for i in range(config.pieces))
        return [Scene(*one, steady=config.steady) for one in drawn]

    @cached_property
    def _stacks(self) -> list[Scene]:
        return [_read(stack) for stack in self.config.stacks]


@lru_cache(maxsize=8)
def specimens(seed: int, count: int, size: int) -> tuple[Scene, ...]:
    """Phantoms of ``size``³ voxels before two or three instruments, clean and as those wrote them."""
    kinds: tuple[Kind, ...] = ("light_sheet", "confocal", "swir", "ct", "mri")
    out = []
    for i in range(count):
        rng = np.random.default_rng([seed, 3, i])
        others = rng.permutation(len(kinds) - 1)[: int(rng.integers(1, 3))] + 1
        instruments = (kinds[0], *(kinds[k] for k in others))
        config = SamplesConfig(
            shape=(size,) * 3, instruments=instruments, misaligned_voxels=0.3, anisotropy=(1, 2), hardest=0.7, power=1.0
        )
        sample = next(samples(config, int(rng.integers(1 << 31))))
        clean, taken = zip(
            *(_on_one_scale(sample.clean[k].channel(), sample.images[k].channel()) for k in instruments), strict=True
        )
        out.append(Scene(np.stack(clean), tuple(MODALITY_OF[k] for k in instruments), np.stack(taken)))
    return tuple(out)


def _on_one_scale(clean: Voxels, taken: Voxels) -> tuple[Voxels, Voxels]:
    """Both as a fuser will see them: by the range of what the instrument wrote."""
    low, high = (float(q) for q in np.quantile(taken, (0.005, 0.998)))
    span = max(high - low, 1e-6)
    return ((clean - low) / span).astype(np.float32), ((taken - low) / span).astype(np.float32)


def _patchwork(shape: Shape3, rng: np.random.Generator) -> Scene:
    structure = random_structure(shape, rng)
    looks: list[Look] = ["contrast", *_partners(rng)]
    return Scene(pictures_of(structure, looks, rng), tuple(_modality(look, rng) for look in looks))


def _partnered(stack: Scene, size: int, rng: np.random.Generator) -> Scene:
    """A slice of a real stack, at a scale of its own, and other looks at what it shows."""
    axis = int(rng.integers(3))
    number = int(rng.integers(stack.clean.shape[axis + 1] * 0.15, stack.clean.shape[axis + 1] * 0.85))
    planes = np.take(stack.clean, number, axis + 1)[:, None]
    zoom = rng.uniform(0.8, 1.6) * size / max(planes.shape[2:])
    planes = np.clip(ndimage.zoom(planes, (1, 1, zoom, zoom), order=1), 0, 1).astype(np.float32)
    looks = _partners(rng)
    others = pictures_of(structure_of(planes[0], rng), looks, rng)
    return Scene(np.concatenate([planes, others]), (*stack.modalities, *(_modality(look, rng) for look in looks)))


def _partners(rng: np.random.Generator) -> list[Look]:
    """Two looks, most often such as hide what the others show: saturated, or wide and faint."""
    return [LOOKS[int(i)] for i in rng.choice(len(LOOKS), 2, p=PARTNERS)]


def _modality(look: Look, rng: np.random.Generator) -> str:
    names = MODALITY[look]
    return names[int(rng.integers(len(names)))]


def _read(stack: Stack) -> Scene:
    paths = stack.files or tuple(data_file(name, "stacks.data") for name in stack.data)
    volumes = [read(f, modality=m, unit=stack.unit) for f, m in zip(paths, stack.modalities, strict=True)]
    return Scene(np.stack([_on_one_scale(v.channel(), v.channel())[0] for v in volumes]), stack.modalities)


def _cut(stacked: ChannelVoxels, shape: Shape3, rng: np.random.Generator) -> ChannelVoxels:
    """A random box, mirrored at the border where the scene is smaller; a slice along any axis of a volume."""
    if shape[0] == 1 and stacked.shape[1] > 1:
        stacked = np.moveaxis(stacked, 1 + int(rng.integers(3)), 1)
    short = [max(0, n - have) for n, have in zip(shape, stacked.shape[1:], strict=True)]
    if any(short):
        stacked = np.pad(stacked, ((0, 0), *((0, n) for n in short)), mode="symmetric")
    begin = [int(rng.integers(have - n + 1)) for n, have in zip(shape, stacked.shape[1:], strict=True)]
    z, y, x = (slice(b, b + n) for b, n in zip(begin, shape, strict=True))
    return np.asarray(stacked[:, z, y, x])


def _turned(cut: ChannelVoxels, rng: np.random.Generator) -> ChannelVoxels:
    for axis in (1, 2, 3):
        if rng.random() < 0.5:
            cut = np.flip(cut, axis)
    if rng.random() < 0.5 and cut.shape[2] == cut.shape[3]:
        cut = np.swapaxes(cut, 2, 3)
    return np.ascontiguousarray(cut)


def _brightened(picture: Voxels, rng: np.random.Generator) -> AnyArray:
    """Another brightness and another gamma, so that no grey level means anything; black stays black."""
    bent = np.clip(picture, 0, None) ** rng.uniform(0.7, 1.4)
    return np.asarray(np.clip(rng.uniform(0.4, 1.15) * bent, 0, 1), np.float32)
