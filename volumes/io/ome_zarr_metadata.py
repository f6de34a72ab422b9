"""What OME-Zarr's attributes say of an image: axes, units, scales, channels. https://ngff.openmicroscopy.org/0.5/

OME-Zarr 0.5 has no word for a direction, a modality, a wavelength or uneven frame times; those stand in an attribute of
our own, ``fusetrack``, next to ``ome``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volumes.errors import FusetrackError, HeaderError
from volumes.grid import Grid
from volumes.io import units
from volumes.io.tiff_layout import named
from volumes.io.world import in_file, triple
from volumes.modality import stated
from volumes.volume import Channel

OURS = "fusetrack"
VERSION = "0.5"
MASK = "labels/valid"
_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
_UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
_log = logging.getLogger(__name__)
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Image:
    """The full-resolution level of a multiscale image.

    Parameters
    ----------
    array : its path inside the folder.
    axes : names, slowest first: some of t, c, z, y, x in this order.
    units : one for each axis, None where none is stated.
    scale, shift : of each axis, in its unit.
    omero : display settings of each channel.
    ours : the ``fusetrack`` attribute; empty in other programs' files.
    """

    array: str
    axes: str
    units: tuple[str | None, ...]
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    omero: tuple[Mapping[str, Any], ...]
    ours: Mapping[str, Any]

    def grid(self, shape: Sequence[int], unit: str | None, path: Path) -> Grid:
        """The grid of an array of that shape, along ``axes``; a missing z axis is refused, since its size is not known.

        Raises
        ------
        HeaderError, UnitError : no z axis, no unit, or a spacing or direction that cannot be.
        """
        if "z" not in self.axes:
            raise HeaderError(
                "has no z axis: the thickness of its one slice is not known",
                file=path,
                field="axes",
                value=self.axes,
                remedy="Read the array and make a Volume of it with from_array",
            )
        at = [self.axes.index(axis) for axis in "zyx"]
        um = [units.length_um(self.units[i], unit, path, f"axes[{i}].unit") for i in at]
        spacing = triple([self.scale[i] * factor for i, factor in zip(at, um, strict=True)])
        origin = triple([self.shift[i] * factor for i, factor in zip(at, um, strict=True)])
        z, y, x = (int(shape[i]) for i in at)
        with in_file(path):
            return Grid((z, y, x), spacing, origin, self.ours.get("direction", _IDENTITY))

    def times_s(self, count: int, path: Path) -> tuple[float, ...]:
        """Seconds of each frame."""
        if "times_s" in self.ours:
            times = tuple(float(t) for t in self.ours["times_s"])
            if len(times) != count:
                raise HeaderError(
                    f"{len(times)} times for {count} frames", file=path, field="fusetrack.times_s", remedy="Mend it"
                )
            return times
        if "t" not in self.axes or count == 1:
            return (0.0,)
        i = self.axes.index("t")
        second = units.time_s(self.units[i], path, f"axes[{i}].unit", "Add the unit 'second' to the file's t axis")
        return tuple((self.shift[i] + self.scale[i] * frame) * second for frame in range(count))

    def channels(self, count: int, modality: str | None, path: Path) -> tuple[Channel, ...]:
        """The channels; where the file names their modalities its word holds, and one that contradicts is logged."""
        if "channels" in self.ours:
            kept = tuple(Channel(**c) for c in self.ours["channels"])
            wanted = None if modality is None else Channel("", modality).modality
            if wanted is not None and wanted not in {c.modality for c in kept}:
                named_there = ", ".join(sorted({c.modality for c in kept}))
                _log.warning("%s: holds %s, not %s as was stated; the file's word holds", path, named_there, wanted)
            return kept
        modality = stated(modality, path)
        plain = named(modality, count)
        if len(self.omero) != count:
            return plain
        return tuple(
            Channel(str(o.get("label", c.name)), modality, None, _colour(o))
            for o, c in zip(self.omero, plain, strict=True)
        )


def parse(attributes: Mapping[str, Any], path: Path) -> Image:
    """The image that a group's attributes describe, of OME-Zarr 0.5 or 0.4.

    Raises
    ------
    HeaderError : no multiscale image, another version, or metadata that breaks the specification.
    """
    ome = attributes.get("ome", attributes)
    multiscales = ome.get("multiscales")
    if not multiscales:
        raise HeaderError(
            "describes no multiscale image",
            file=path,
            field="multiscales",
            value=sorted(map(str, ome)),
            remedy="Give the path of one image inside the folder",
        )
    version = str(ome.get("version", multiscales[0].get("version", "0.4")))
    if version not in ("0.4", VERSION):
        raise HeaderError("is not read", file=path, field="version", value=version, remedy="Convert it to OME-Zarr 0.5")
    return _image(multiscales[0], ome, attributes, path)


@contextmanager
def specified(path: Path) -> Iterator[None]:
    """Attributes that are missing or of another kind than the specification's come out as HeaderError."""
    try:
        yield
    except FusetrackError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise HeaderError(
            f"breaks the specification: {error!r}", file=path, field="attributes", remedy="Write it anew"
        ) from error


def _image(multiscale: Mapping[str, Any], ome: Mapping[str, Any], attributes: Mapping[str, Any], path: Path) -> Image:
    axes = [dict(axis) for axis in multiscale["axes"]]
    names = "".join(str(axis["name"]).lower() for axis in axes)
    if names != "".join(name for name in "tczyx" if name in names) or not {"y", "x"} <= set(names):
        raise HeaderError(
            "needs axes out of t, c, z, y, x in this order", file=path, field="axes", value=names, remedy="Reorder them"
        )
    level = multiscale["datasets"][0]
    inner = _scale_and_shift(level["coordinateTransformations"], len(names), path)
    outer = _scale_and_shift(multiscale.get("coordinateTransformations", ()), len(names), path)
    return Image(
        str(level["path"]),
        names,
        tuple(axis.get("unit") for axis in axes),
        tuple((inner[0] * outer[0]).tolist()),
        tuple((outer[0] * inner[1] + outer[1]).tolist()),
        tuple(ome.get("omero", {}).get("channels", ())),
        attributes.get(OURS, {}),
    )


def _scale_and_shift(
    transformations: Sequence[Mapping[str, Any]], count: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """One scale and one shift of a list of transformations, applied in order."""
    scale, shift = np.ones(count), np.zeros(count)
    for transformation in transformations:
        kind = transformation["type"]
        if kind not in ("scale", "translation", "identity"):
            raise HeaderError(
                "is not read", file=path, field="coordinateTransformations", value=kind, remedy="Use scale, translation"
            )
        values = np.asarray(transformation.get(kind, np.ones(count)), dtype=np.float64)
        if values.shape != (count,):
            raise HeaderError(
                f"needs {count} numbers", file=path, field=f"coordinateTransformations.{kind}", value=values.tolist()
            )
        if kind == "scale":
            scale, shift = scale * values, shift * values
        elif kind == "translation":
            shift = shift + values
    return scale, shift


def multiscales(grid: Grid, axes: str, times_s: Sequence[float]) -> list[dict[str, Any]]:
    """The ``multiscales`` entry of one full-resolution array at path "0"."""
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    along = dict(zip("zyx", grid.spacing_um, strict=True)) | {"t": step, "c": 1.0}
    origin = dict(zip("zyx", grid.origin_um, strict=True)) | {"t": float(times_s[0]), "c": 0.0}
    transformations = [
        {"type": "scale", "scale": [along[axis] for axis in axes]},
        {"type": "translation", "translation": [origin[axis] for axis in axes]},
    ]
    described = [
        {"name": axis, "type": _TYPES[axis]} | ({"unit": _UNITS[axis]} if axis in _UNITS else {}) for axis in axes
    ]
    datasets = [{"path": "0", "coordinateTransformations": transformations}]
    return [{"name": "image", "axes": described, "datasets": datasets}]


def image_attributes(
    grid: Grid, axes: str, channels: Sequence[Channel], times_s: Sequence[float], ends: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """All attributes of an image group; ``ends`` are the least and largest value of each channel."""
    shown = [
        {
            "label": channel.name,
            "color": channel.colour,
            "active": True,
            "window": {"min": low, "max": high, "start": low, "end": high},
        }
        for channel, (low, high) in zip(channels, ends, strict=True)
    ]
    ours = {
        "every_chunk_written": True,
        "shape": [*((len(times_s),) if "t" in axes else ()), len(channels), *grid.shape],
        "direction": [list(row) for row in grid.direction],
        "channels": [
            {"name": c.name, "modality": c.modality, "wavelength_nm": c.wavelength_nm, "colour": c.colour}
            for c in channels
        ],
        "times_s": [float(t) for t in times_s],
    }
    ome = {"version": VERSION, "multiscales": multiscales(grid, axes, times_s), "omero": {"channels": shown}}
    return {"ome": ome, OURS: ours}


def mask_attributes(grid: Grid, axes: str, times_s: Sequence[float]) -> dict[str, Any]:
    """All attributes of the label image of where there is data (1) and where there is none (0)."""
    label = {
        "source": {"image": "../../"},
        "colors": [{"label-value": 0, "rgba": [0, 0, 0, 0]}, {"label-value": 1, "rgba": [255, 255, 255, 255]}],
    }
    ome = {"version": VERSION, "multiscales": multiscales(grid, axes, times_s), "image-label": label}
    return {"ome": ome, OURS: {"every_chunk_written": True}}


def _colour(omero: Mapping[str, Any]) -> str | None:
    colour = omero.get("color")
    return colour.upper() if isinstance(colour, str) and len(colour) == 6 else None
