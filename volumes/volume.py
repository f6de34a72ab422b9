"""What an acquisition is: voxels of one or more channels on a grid, at one time. Immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from volumes.errors import ContentError, GridError
from volumes.grid import Grid
from volumes.modality import modality as known_modality
from volumes.shapes import AnyArray, ChannelVoxels, Mask, Triple, Voxels


@dataclass(frozen=True)
class Channel:
    """One channel: its name, modality, wavelength in nm where there is one, and display colour (RRGGBB)."""

    name: str
    modality: str
    wavelength_nm: float | None = None
    colour: str | None = None

    def __post_init__(self) -> None:
        known = known_modality(self.modality)
        object.__setattr__(self, "modality", known.name)
        object.__setattr__(self, "colour", self.colour or known.colour)


class LazyArray(Protocol):
    """Voxels that are read when they are asked for: a zarr or dask array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, Z, Y, X)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...  # noqa: ANN401 - zarr and dask take any numpy index


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels (C, Z, Y, X) on a :class:`Grid`, with what each channel is.

    Parameters
    ----------
    data : numpy, or lazy (zarr, dask); numpy data is made read-only.
    grid : where the voxels lie; its shape is (Z, Y, X).
    channels : one for each of C.
    time_s : seconds since the start of the acquisition.
    valid : (Z, Y, X), False where there is no data, for instance outside the field after resampling.

    Raises
    ------
    GridError : data, grid, channels and valid do not fit together.
    ContentError : voxels that are no real numbers.
    """

    data: AnyArray | LazyArray
    grid: Grid
    channels: tuple[Channel, ...]
    time_s: float = 0.0
    valid: Mask | None = None

    def __post_init__(self) -> None:
        if len(self.data.shape) != 4 or self.data.shape[1:] != self.grid.shape:
            raise GridError(
                f"data of shape {self.data.shape} does not fit the grid's (C, {', '.join(map(str, self.grid.shape))})",
                field="data",
            )
        if np.dtype(self.data.dtype).kind not in "biuf":
            raise ContentError("voxels must be real numbers", field="data", value=str(self.data.dtype))
        if len(self.channels) != self.data.shape[0]:
            raise GridError(f"{len(self.channels)} channels described, {self.data.shape[0]} given", field="channels")
        if self.valid is not None and (self.valid.shape != self.grid.shape or self.valid.dtype != np.bool_):
            raise GridError(
                f"needs True or False for each of {self.grid.shape}, not {self.valid.dtype} for {self.valid.shape}",
                field="valid",
            )
        for name in ("data", "valid"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray):
                object.__setattr__(self, name, _read_only(array))

    @property
    def array(self) -> ChannelVoxels:
        """All voxels (C, Z, Y, X) in memory."""
        return self.data if isinstance(self.data, np.ndarray) else _read_only(np.asarray(self.data[...]))

    @property
    def modality(self) -> str:
        """The first channel's modality."""
        return self.channels[0].modality

    def channel(self, which: int | str = 0) -> Voxels:
        """One channel's voxels (Z, Y, X), by position or by name.

        Raises
        ------
        ContentError : no channel of that name or position, or several of that name.
        """
        names = [c.name for c in self.channels]
        if isinstance(which, str) and which not in names:
            raise ContentError("no such channel", field="channel", value=which, remedy=f"It has {names}")
        if names.count(str(which)) > 1:
            raise ContentError(f"{names.count(str(which))} channels have this name", field="channel", value=which)
        position = names.index(which) if isinstance(which, str) else which
        if not 0 <= position < len(names):
            raise ContentError("no such channel", field="channel", value=which, remedy=f"It has {len(names)}")
        return np.asarray(self.data[position])

    def mask(self) -> Mask:
        """Where there is data (Z, Y, X); all True when no mask was given."""
        return self.valid if self.valid is not None else np.ones(self.grid.shape, bool)

    def with_data(self, data: AnyArray, channels: Sequence[Channel] | None = None) -> Volume:
        """Other voxels (C, Z, Y, X) or (Z, Y, X) on the same grid, at the same time, under the same mask."""
        voxels = data[None] if data.ndim == 3 else data
        return replace(self, data=voxels, channels=self.channels if channels is None else tuple(channels))


def from_array(
    data: ArrayLike,
    spacing_um: Sequence[float],
    *,
    modality: str,
    origin_um: Sequence[float] = (0.0, 0.0, 0.0),
    direction: Sequence[Sequence[float]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    channels: Sequence[Channel] | None = None,
    time_s: float = 0.0,
    valid: Mask | None = None,
) -> Volume:
    """A Volume from an array of (C, Z, Y, X) or (Z, Y, X); a 2-D picture (Y, X) becomes one with Z = 1.

    Parameters
    ----------
    data : voxels.
    spacing_um : (z, y, x) in µm.
    modality : of every channel, unless ``channels`` says more.
    origin_um, direction : as in :class:`Grid`.
    channels : name, modality, wavelength and colour of each channel.
    time_s : seconds since the start.
    valid : False where there is no data.

    Raises
    ------
    GridError : an array of another rank, or one that does not fit.
    HeaderError : a spacing or direction that cannot be.
    """
    voxels = np.asarray(data)
    if voxels.ndim not in (2, 3, 4):
        raise GridError(
            "needs an array of (Z, Y, X) or (C, Z, Y, X)",
            field="data",
            value=voxels.shape,
            remedy="For a movie use TimeLapse.from_array",
        )
    voxels = voxels.reshape((1,) * (4 - voxels.ndim) + voxels.shape)
    _z, _y, _x = voxels.shape[1:]
    grid = Grid((_z, _y, _x), _floats(spacing_um), _floats(origin_um), _rows(direction))
    names = [modality] if len(voxels) == 1 else [f"{modality}-{i}" for i in range(len(voxels))]
    described = tuple(channels) if channels is not None else tuple(Channel(n, modality) for n in names)
    return Volume(voxels, grid, described, time_s, valid)


def require_finite(volume: Volume, what: str) -> None:
    """Raise ContentError when a voxel inside the valid mask is NaN or infinite; ``what`` names the volume."""
    if not np.issubdtype(volume.data.dtype, np.floating):
        return
    array = volume.array
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # One pass and no array more; a NaN or infinity anywhere would be in the sum.
            return
    bad = ~np.isfinite(array) & volume.mask()
    if bad.any():
        raise ContentError(
            f"{int(bad.sum())} voxels are NaN or infinite",
            field=what,
            remedy="Read the file with nonfinite='mask' to leave them out, or mend them",
        )


def _read_only(array: AnyArray) -> AnyArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _floats(values: Sequence[float]) -> Triple:
    return cast(Triple, tuple(values))


def _rows(rows: Sequence[Sequence[float]]) -> tuple[Triple, Triple, Triple]:
    return cast(tuple[Triple, Triple, Triple], tuple(tuple(row) for row in rows))
