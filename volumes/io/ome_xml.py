"""OME-XML, the description inside an OME-TIFF: read through tifffile's parser, written here.

http://www.openmicroscopy.org/Schemas/OME/2016-06. The schema's default units are µm, s and nm. Positions of planes are
the microscope's stage in other programs' files, and a volume's origin only in those of fusetrack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from volumes.errors import FusetrackError, HeaderError, UnitError
from volumes.grid import Grid
from volumes.io import units
from volumes.io.tiff_layout import Pages
from volumes.io.world import in_file
from volumes.shapes import Triple
from volumes.volume import Channel

CREATOR = "fusetrack"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}
_NM = 1e-3


def parse(tif: tifffile.TiffFile, modality: str, unit: str | None, path: Path) -> Pages:
    """The pages of an OME-TIFF of one image.

    Raises
    ------
    UnitError : no physical size along an axis, or no frame interval.
    HeaderError : XML that cannot be read, several images, or pages that are not there.
    """
    try:
        ome = tifffile.xml2dict(tif.ome_metadata or "")["OME"]
        images = _listed(ome["Image"])
        pixels = images[0]["Pixels"]
        sizes = {axis: int(pixels[f"Size{axis}"]) for axis in "TCZYX"}
        return _pages(tif, ome, images, pixels, sizes, modality, unit, path)
    except FusetrackError:
        raise
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise HeaderError(
            f"the OME-XML cannot be read: {error!r}",
            file=path,
            field="ImageDescription",
            remedy="Write the file anew, or state a Layout",
        ) from error


def describe(grid: Grid, channels: Sequence[Channel], times_s: Sequence[float], dtype: np.dtype[Any]) -> str:
    """The OME-XML of planes that lie z fastest, then channels, then frames (XYZCT); plain ASCII."""
    size = dict(zip("ZYX", grid.shape, strict=True)) | {"C": len(channels), "T": len(times_s)}
    attributes: dict[str, object] = {
        "ID": "Pixels:0",
        "DimensionOrder": "XYZCT",
        "Type": _TYPES.get(dtype.name, dtype.name),
    }
    attributes |= {f"Size{axis}": size[axis] for axis in "XYZCT"}
    for axis, spacing in zip("ZYX", grid.spacing_um, strict=True):
        attributes |= {f"PhysicalSize{axis}": repr(spacing), f"PhysicalSize{axis}Unit": "µm"}
    if len(times_s) > 1:
        attributes |= {"TimeIncrement": repr(float(np.median(np.diff(times_s)))), "TimeIncrementUnit": "s"}
    planes = [
        _element("Plane", _plane(grid, z, c, t, time)) for t, time in enumerate(times_s)
        for c in range(len(channels)) for z in range(grid.shape[0])
    ]  # fmt: skip
    data = _element("TiffData", {"IFD": 0, "PlaneCount": len(planes)})
    inner = [_element("Channel", _channel(i, channel)) for i, channel in enumerate(channels)]
    pixels = _element("Pixels", attributes, "".join([*inner, data, *planes]))
    image = _element("Image", {"ID": "Image:0", "Name": "image"}, pixels)
    xml = _element("OME", {"xmlns": _SCHEMA, "Creator": CREATOR}, image)
    return f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _pages(
    tif: tifffile.TiffFile,
    ome: Mapping[str, Any],
    images: Sequence[Mapping[str, Any]],
    pixels: Mapping[str, Any],
    sizes: Mapping[str, int],
    modality: str,
    unit: str | None,
    path: Path,
) -> Pages:
    numbers = _numbers(tif, images, sizes, path)
    planes = _listed(pixels.get("Plane", []))
    first = {int(p["TheT"]): p for p in planes if int(p["TheZ"]) == 0 and int(p["TheC"]) == 0}
    spacing = _spacing(pixels, unit, path)
    origin = _origin(first[0]) if ome.get("Creator") == CREATOR and 0 in first else (0.0, 0.0, 0.0)
    with in_file(path):
        grid = Grid((sizes["Z"], sizes["Y"], sizes["X"]), spacing, origin)
    described = [
        _read_channel(c, i, modality, sizes["C"], path) for i, c in enumerate(_listed(pixels.get("Channel", [])))
    ]
    channels = described if len(described) == sizes["C"] else [
        _read_channel({}, i, modality, sizes["C"], path) for i in range(sizes["C"])
    ]  # fmt: skip
    return Pages(numbers, grid, tuple(channels), _times(pixels, first, sizes["T"], path))


def _numbers(
    tif: tifffile.TiffFile, images: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], path: Path
) -> NDArray[np.int64]:
    """The page of each plane (T, C, Z), in the order that tifffile finds in the TiffData elements."""
    if len(images) != 1:
        raise HeaderError(
            f"holds {len(images)} images", file=path, field="Image", value=len(images), remedy="Write each to a file"
        )
    series = tif.series[0]
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    found = dict(zip(axes, shape, strict=True))
    wrong = {a: n for a, n in found.items() if n != sizes.get(a, 1)}
    planes = [page for page in series.pages if page is not None and page.parent is tif]
    if wrong or not len(planes) == len(tif.pages) == sizes["T"] * sizes["C"] * sizes["Z"]:
        raise HeaderError(
            f"the OME-XML says {dict(sizes)}, the file holds {len(tif.pages)} pages of {found}",
            file=path,
            field="Pixels",
            remedy="The file is one of several, truncated, or in colour: write it as one OME-TIFF",
        )
    numbers = np.array([int(page.index) for page in planes], dtype=np.int64)
    outer = [axis for axis in axes if axis in "TCZ"]
    outer = [axis for axis in "TCZ" if axis not in outer] + outer
    return numbers.reshape([sizes[a] for a in outer]).transpose([outer.index(a) for a in "TCZ"])


def _spacing(pixels: Mapping[str, Any], unit: str | None, path: Path) -> Triple:
    out = []
    for axis in "ZYX":
        size = pixels.get(f"PhysicalSize{axis}")
        if size is None:
            raise UnitError(
                "the file states no voxel size",
                file=path,
                field=f"PhysicalSize{axis}",
                remedy="State it: read(…, layout=Layout(axes=…, sizes=…, spacing_um=…))",
            )
        stated = str(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        out.append(float(size) * units.length_um(stated, unit, path, f"PhysicalSize{axis}Unit"))
    z, y, x = out
    return z, y, x


def _origin(plane: Mapping[str, Any]) -> Triple:
    z, y, x = (float(plane.get(f"Position{axis}", 0.0)) for axis in "ZYX")
    return z, y, x


def _times(
    pixels: Mapping[str, Any], first: Mapping[int, Mapping[str, Any]], count: int, path: Path
) -> tuple[float, ...]:
    """Seconds of each frame: the planes' own where all have one, else from the frame interval."""
    if all("DeltaT" in first.get(t, {}) for t in range(count)):
        return tuple(
            float(first[t]["DeltaT"]) * units.time_s(str(first[t].get("DeltaTUnit", "s")), path, "DeltaTUnit", "")
            for t in range(count)
        )
    if count == 1:
        return (0.0,)
    step = pixels.get("TimeIncrement")
    if step is None or not float(step) > 0:
        raise UnitError(
            "the movie states no frame interval",
            file=path,
            field="TimeIncrement",
            value=step,
            remedy="State it: read_timelapse(…, layout=Layout(…, dt_s=…))",
        )
    second = units.time_s(str(pixels.get("TimeIncrementUnit", "s")), path, "TimeIncrementUnit", "")
    return tuple(t * float(step) * second for t in range(count))


def _read_channel(said: Mapping[str, Any], number: int, modality: str, count: int, path: Path) -> Channel:
    name = str(said.get("Name", modality if count == 1 else f"{modality}-{number}"))
    wavelength = said.get("EmissionWavelength")
    colour = f"{(int(said['Color']) & 0xFFFFFFFF) >> 8:06X}" if "Color" in said else None
    if wavelength is not None:
        um = units.length_um(str(said.get("EmissionWavelengthUnit", "nm")), None, path, "EmissionWavelengthUnit")
        wavelength = float(wavelength) * (um / _NM)
    return Channel(name, modality, wavelength, colour)


def _channel(number: int, channel: Channel) -> dict[str, object]:
    rgba = (int(channel.colour or "FFFFFF", 16) << 8) | 0xFF
    out: dict[str, object] = {"ID": f"Channel:0:{number}", "Name": channel.name, "SamplesPerPixel": 1}
    out["Color"] = rgba - (1 << 32) if rgba >= 1 << 31 else rgba
    if channel.wavelength_nm is not None:
        out |= {"EmissionWavelength": repr(float(channel.wavelength_nm)), "EmissionWavelengthUnit": "nm"}
    return out


def _plane(grid: Grid, z: int, c: int, t: int, time_s: float) -> dict[str, object]:
    origin = {"Z": grid.origin_um[0] + z * grid.spacing_um[0], "Y": grid.origin_um[1], "X": grid.origin_um[2]}
    out: dict[str, object] = {"TheZ": z, "TheC": c, "TheT": t, "DeltaT": repr(float(time_s)), "DeltaTUnit": "s"}
    for axis, position in origin.items():
        out |= {f"Position{axis}": repr(float(position)), f"Position{axis}Unit": "µm"}
    return out


def _element(tag: str, attributes: Mapping[str, object], inner: str = "") -> str:
    written = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def _listed(found: Any) -> list[Any]:  # noqa: ANN401 - one element comes bare, several as a list
    return list(found) if isinstance(found, list | tuple) else [found]
