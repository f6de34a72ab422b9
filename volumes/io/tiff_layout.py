"""Where each plane of a TIFF lies: from a stated layout, or from ImageJ's description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from volumes.errors import HeaderError, UnitError
from volumes.grid import Grid
from volumes.io import units
from volumes.io.layout import Layout
from volumes.io.world import in_file
from volumes.shapes import Triple
from volumes.volume import Channel


@dataclass(frozen=True)
class Pages:
    """A stack's pages.

    Parameters
    ----------
    numbers : the page of each plane, (T, C, Z).
    grid, channels, times_s : as in a TimeLapse.
    """

    numbers: NDArray[np.int64]
    grid: Grid
    channels: tuple[Channel, ...]
    times_s: tuple[float, ...]


def numbered(axes: str, sizes: Mapping[str, int]) -> NDArray[np.int64]:
    """Page numbers (T, C, Z) of pages that lie one after another along ``axes``, slowest first, Y and X left out."""
    order = [axis for axis in axes if axis in "TCZ"]
    order = [axis for axis in "TCZ" if axis not in order] + order
    numbers = np.arange(int(np.prod([sizes.get(a, 1) for a in order]))).reshape([sizes.get(a, 1) for a in order])
    return numbers.transpose([order.index(axis) for axis in "TCZ"])


def named(modality: str, count: int) -> tuple[Channel, ...]:
    """Channels of one modality, numbered where there are several."""
    names = [modality] if count == 1 else [f"{modality}-{i}" for i in range(count)]
    return tuple(Channel(name, modality) for name in names)


def from_layout(tif: tifffile.TiffFile, layout: Layout, modality: str, path: Path) -> Pages:
    """Pages in the stated order.

    Raises
    ------
    HeaderError : the stated sizes are not the pages that the file holds.
    """
    sizes = dict(zip(layout.axes, layout.sizes, strict=True))
    _require_count(tif, sizes, path, "layout")
    page = tif.pages[0].shape
    if page[:2] != (sizes["Y"], sizes["X"]):
        raise HeaderError(
            f"its pages are {page}, the layout says {(sizes['Y'], sizes['X'])}",
            file=path,
            field="layout.sizes",
            value=layout.sizes,
            remedy="Correct the layout",
        )
    if layout.axes[-2:] != "YX":
        raise HeaderError(
            "pages are rows of X: the layout's axes end in YX", file=path, field="layout.axes", value=layout.axes
        )
    times = tuple(i * (layout.dt_s or 0.0) for i in range(sizes.get("T", 1)))
    return _pages(layout.axes, sizes, layout.spacing_um, modality, times, path)


def from_imagej(tif: tifffile.TiffFile, modality: str, unit: str | None, path: Path) -> Pages:
    """Pages as ImageJ describes them: channels fastest, then slices, then frames.

    Raises
    ------
    UnitError : no unit, no slice spacing or no frame interval; they can be stated in a Layout.
    HeaderError : the sizes are not the pages that the file holds.
    """
    said = tif.imagej_metadata or {}
    page = tif.pages[0]
    sizes = {"T": said.get("frames", 1), "Z": said.get("slices", 1), "C": said.get("channels", 1)}
    if "frames" not in said and "slices" not in said and "channels" not in said:
        sizes["Z"] = len(tif.pages)
    sizes |= {"Y": page.shape[0], "X": page.shape[1]}
    _require_count(tif, sizes, path, "ImageDescription")
    stated = said.get("unit")
    if stated is None or "spacing" not in said:
        raise UnitError(
            "ImageJ's description states no unit or no slice spacing",
            file=path,
            field="ImageDescription",
            value=sorted(said),
            remedy="State the voxel size: read(…, layout=Layout(axes=…, sizes=…, spacing_um=…))",
        )
    um = units.length_um(str(stated), unit, path, "unit")
    y, x = (_pixel(page, tag, path) for tag in ("YResolution", "XResolution"))
    times = _imagej_times(said, int(sizes["T"]), path)
    return _pages("TZCYX", sizes, (abs(float(said["spacing"])) * um, y * um, x * um), modality, times, path)


def _pixel(page: tifffile.TiffPage, tag: str, path: Path) -> float:
    """Pixel size: resolution tags hold pixels per unit as a ratio."""
    found = page.tags.get(tag)
    pixels, length = found.value if found is not None else (0, 0)
    if not (pixels > 0 and length > 0):
        raise HeaderError("states no pixel size", file=path, field=tag, value=(pixels, length), remedy="State a Layout")
    return float(length) / float(pixels)


def _imagej_times(said: Mapping[str, object], count: int, path: Path) -> tuple[float, ...]:
    interval = float(str(said.get("finterval", 0.0)))
    if count > 1 and not interval > 0:
        raise UnitError(
            "the movie states no frame interval",
            file=path,
            field="finterval",
            value=interval,
            remedy="State it: read_timelapse(…, layout=Layout(…, dt_s=…))",
        )
    second = units.time_s(str(said.get("tunit", "s")), path, "tunit", "State dt_s in a Layout")
    return tuple(i * interval * second for i in range(count))


def _require_count(tif: tifffile.TiffFile, sizes: Mapping[str, int], path: Path, field: str) -> None:
    meant = int(np.prod([n for axis, n in sizes.items() if axis in "TCZ"], dtype=object))
    if meant != len(tif.pages):
        told = " × ".join(f"{axis}={n}" for axis, n in sizes.items() if axis in "TCZ")
        raise HeaderError(
            f"the file holds {len(tif.pages)} pages, {told or 'a single page'} are {meant}",
            file=path,
            field=field,
            value=len(tif.pages),
            remedy="Correct the sizes; a stack past 4 GB is best converted to OME-TIFF",
        )


def _pages(
    axes: str,
    sizes: Mapping[str, int],
    spacing_um: Sequence[float],
    modality: str,
    times: tuple[float, ...],
    path: Path,
) -> Pages:
    z, y, x = spacing_um
    spacing: Triple = (z, y, x)
    with in_file(path):
        grid = Grid((sizes.get("Z", 1), sizes["Y"], sizes["X"]), spacing)
    return Pages(numbered(axes, sizes), grid, named(modality, sizes.get("C", 1)), times)
