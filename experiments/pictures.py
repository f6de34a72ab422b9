"""Files as grey levels on 0–255: pictures (PNG, TIFF …) and volumes alike; no range is ever guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from volumes.errors import ConfigError, ContentError, VolumeFileError
from volumes.grid import Grid
from volumes.shapes import AnyArray, Mask

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
STACKS = (".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".zarr")
OPAQUE = {"LA": "L", "RGBA": "RGB", "PA": "RGB", "P": "RGB"}
"""Modes of a picture that are read as another: transparency must be nowhere, a palette becomes its colours."""

Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class GreyLevels:
    """What a file shows.

    Parameters
    ----------
    levels : (y, x) or (z, y, x) on 0–255.
    clipped : share of the voxels that lay outside the stated range.
    grid : of a volume; a picture has none.
    valid : where a volume has data; None for everywhere.
    """

    levels: AnyArray
    clipped: float = 0.0
    grid: Grid | None = None
    valid: Mask | None = None


def is_shown(path: Path) -> bool:
    """Whether the name is one of a picture or a volume that can be read."""
    return path.name.lower().endswith((*PICTURES, *STACKS)) and not path.name.startswith(".")


def read_grey_levels(path: Path, value_range: Range | None = None, unit: str | None = None) -> GreyLevels:
    """Read a picture or a volume of one channel; colours become grey by ⌊0.299 R + 0.587 G + 0.114 B⌋.

    Parameters
    ----------
    path : .png, .jpg, .bmp, .tif, .nii, .nii.gz, .nrrd or .zarr.
    value_range : what becomes 0 and 255 in files of any other type than 8 bits, which are taken as they are.
    unit : of a volume's lengths, where its file states none.

    Raises
    ------
    VolumeFileError : missing, damaged, or of another format.
    ContentError : another type than 8 bits and no range; transparency; several channels.
    ConfigError : a range that does not rise.
    """
    if value_range is not None and not -math.inf < value_range[0] < value_range[1] < math.inf:
        raise ConfigError("needs two numbers, the lower one first", field="--range", value=value_range)
    name = path.name.lower()
    if name.endswith(PICTURES):
        return _flat(path, _picture(path), value_range)
    if name.endswith((".tif", ".tiff")) and not name.endswith((".ome.tif", ".ome.tiff")):
        flat = _flat_tiff(path)
        if flat is not None:
            return _flat(path, flat, value_range)
    return _volume(path, value_range, unit)


def _flat(path: Path, pixels: AnyArray, value_range: Range | None) -> GreyLevels:
    from fusion.metrics import grey

    if pixels.ndim == 2:
        return _levels(path, pixels, value_range)
    if pixels.shape[-1] == 4:
        _require_opaque(path, pixels[..., 3])
    elif pixels.shape[-1] != 3:
        raise ContentError("is neither grey nor in three colours", file=path, value=pixels.shape)
    found = _levels(path, pixels[..., :3], value_range)
    return GreyLevels(grey(found.levels), found.clipped)


def _picture(path: Path) -> AnyArray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            mode = image.mode
            if "A" in mode or "transparency" in image.info:
                _require_opaque(path, np.asarray(image.convert("RGBA"))[..., 3])
            return np.asarray(image.convert(OPAQUE[mode]) if mode in OPAQUE else image)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise VolumeFileError("is missing", file=path, remedy="Check the path") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise VolumeFileError("cannot be read as a picture", file=path, value=str(error)) from error


def _require_opaque(path: Path, alpha: AnyArray) -> None:
    if (alpha < 255).any():
        remedy = "Lay it on a background first: what lies under transparency is not seen"
        raise ContentError("is transparent in places", file=path, remedy=remedy)


def _flat_tiff(path: Path) -> AnyArray | None:
    """The pixels of a TIFF of one page, grey or in three colours; None where it holds more."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if len(file.series) == 1 and file.series[0].axes in ("YX", "YXS"):
                return np.asarray(file.series[0].asarray())
    except FileNotFoundError as error:
        raise VolumeFileError("is missing", file=path, remedy="Check the path") from error
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise VolumeFileError("cannot be read as TIFF", file=path, value=str(error)) from error
    return None


def _volume(path: Path, value_range: Range | None, unit: str | None) -> GreyLevels:
    import volumes

    volume = volumes.read(path, modality="optical", unit=unit)
    if len(volume.channels) != 1:
        names = [channel.name for channel in volume.channels]
        raise ContentError("has several channels", file=path, value=names, remedy="Give a file for each channel")
    found = _levels(path, np.asarray(volume.channel()), value_range)
    return GreyLevels(found.levels, found.clipped, volume.grid, volume.valid)


def _levels(path: Path, values: AnyArray, value_range: Range | None) -> GreyLevels:
    """On 0–255: bytes as they are, all else by the range."""
    if values.dtype == np.uint8:
        return GreyLevels(values)
    if value_range is None or values.dtype.kind not in "uif":
        remedy = "State --range LOW HIGH: what shall be black and what white, for all files alike"
        raise ContentError("is not of 8 bits", file=path, field="type", value=values.dtype.name, remedy=remedy)
    low, high = value_range
    outside = float(np.mean((values < low) | (values > high)))
    return GreyLevels(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255, outside)
