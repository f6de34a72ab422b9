"""Pictures of phantoms: real planes above drawn ones, and one specimen before all its instruments.

    OMP_NUM_THREADS=1 python -m experiments.bench.realism_picture --out docs/images/phantom_real.png
    OMP_NUM_THREADS=1 python -m experiments.bench.realism_picture --embryo docs/images/phantom.png

The real planes come from the data folder (FUSETRACK_DATA), and only from data that may be passed on: GoNuclear 1135
(MIT), cells3d (BSD-3-Clause), a CT and a T2 of NeuroLabUSC's clinical toolbox (BSD-2-Clause). Reading GoNuclear needs
h5py (extra ``bench``). Each plane is shown from its 1st to its 99.8th percentile; nothing is smoothed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs import demo_data
from experiments.phantom_file import load_phantom
from phantom.phantom import Phantom
from volumes import Volume, read
from volumes.atomic import replacing_file
from volumes.errors import ContentError
from volumes.shapes import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PHANTOMS = Path(__file__).resolve().parents[2] / "configs" / "phantom"
DATA = Path(os.environ.get("FUSETRACK_DATA", "../shared/data"))
SHOWN = (1.0, 99.8)
"""Percentiles of a plane that become black and white."""
SIDE = 128
"""Pixels along the square that is shown of nuclei, real and drawn alike, so that their noise can be compared."""
CLEAN = "0.1"
"""The difficulty that is drawn beside cells3d, which has little noise."""
TURN = 0.618034
"""Hues of labels are so many turns apart: neighbours in number differ."""
INCHES = 2.3
"""Width of a picture's column."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One plane to be shown.

    Parameters
    ----------
    title : what stands above it.
    plane : (y, x), or (y, x, 3) for colours from 0 to 1.
    pixel_um : size of its pixels (y, x).
    """

    title: str
    plane: AnyArray
    pixel_um: tuple[float, float]

    @property
    def field(self) -> str:
        """How large a piece is shown, in µm or mm."""
        height, width = (n * step for n, step in zip(self.plane.shape, self.pixel_um, strict=False))
        unit, factor = ("mm", 1e-3) if width >= 10_000 else ("µm", 1.0)
        return f"{height * factor:.0f} × {width * factor:.0f} {unit}"


def real_tiles(data: Path) -> Iterator[Tile]:
    """A plane of nuclei from each of two microscopes, of a clinical CT and of a clinical MRI.

    Raises
    ------
    VolumeFileError : the data folder lacks one of them.
    """
    import h5py
    import tifffile

    with h5py.File(data / "segmentation" / "gonuclear" / "1135_mini.h5") as file:
        yield _square("GoNuclear 1135, confocal", file["raw"][50], (0.127, 0.127))
    nuclei = tifffile.imread(data / "segmentation" / "cells3d" / "nuclei.tif")
    yield _square("cells3d, fluorescence", nuclei[30], (0.26, 0.26))
    heads = (("CT", "CT of heads, a template", "clinical_scct"), ("MRI", "MRI of a head, T2", "clinical_tutorial_T2"))
    for modality, title, name in heads:
        volume = read(data / "registration" / f"{name}.nii.gz", modality=modality)
        yield _middle(title, volume, 0.5)


def drawn_tiles() -> Iterator[Tile]:
    """The like of them: two optical instruments of ``crowded.yaml``, CT and MRI of ``zebrafish.yaml``."""
    for name, title, changes in (
        ("confocal", "drawn: confocal", {}),
        ("light_sheet", f"drawn: light sheet, difficulty {CLEAN}", {"difficulty": CLEAN}),
    ):
        volume = load_phantom(PHANTOMS / "crowded.yaml", changes).build()[name].image()[0]
        _, y, x = volume.grid.spacing_um
        yield _square(title, volume.channel()[volume.grid.shape[0] // 2], (y, x))
    stains = {"anatomy.terk": demo_data("zbrain-tERK.nrrd"), "anatomy.h2b": demo_data("zbrain-H2B-RFP.nrrd")}
    larva = load_phantom(PHANTOMS / "zebrafish.yaml", {key: str(path) for key, path in stains.items()}).build()
    for name, title, height in (("ct", "drawn: CT of a larva", 0.58), ("mri", "drawn: MRI of a larva", 0.58)):
        yield _middle(title, larva[name].image()[0], height)


def embryo_tiles(phantom: Phantom, titles: Mapping[str, str]) -> Iterator[Tile]:
    """The middle plane of each instrument's last frame, and the labels beside the first one's.

    Parameters
    ----------
    phantom : the specimen.
    titles : what stands above each instrument's picture, by its name.
    """
    for place, (name, title) in enumerate(titles.items()):
        acquisition = phantom[name]
        last = len(acquisition.times_s) - 1
        yield _middle(title, acquisition.image()[last], 0.5)
        if place == 0:
            labels = acquisition.labels()[last]
            plane = labels.channel()[labels.grid.shape[0] // 2]
            yield Tile("its nuclei", coloured(plane[::-1]), labels.grid.spacing_um[1:])


def coloured(labels: AnyArray) -> AnyArray:
    """Colours (y, x, 3) from 0 to 1 for labels (y, x), black outside."""
    from matplotlib.colors import hsv_to_rgb

    hue = labels * TURN % 1
    inside = labels > 0
    return np.asarray(hsv_to_rgb(np.stack([hue, np.where(inside, 0.65, 0.0), np.where(inside, 0.95, 0.0)], -1)))


def drawn_picture(rows: Sequence[Sequence[Tile]], out: Path) -> None:
    """Write tiles, row by row, as one PNG.

    Raises
    ------
    ContentError : rows of different lengths.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = len(rows[0])
    if any(len(row) != columns for row in rows):
        raise ContentError("rows have different lengths", field="rows", value=[len(row) for row in rows])
    with mpl.rc_context({"font.size": 8}):
        figure = Figure((INCHES * columns, 1.13 * INCHES * len(rows)), layout="constrained")
        for place, tile in enumerate(tile for row in rows for tile in row):
            _show(figure.add_subplot(len(rows), columns, place + 1), tile)
        with replacing_file(out) as temporary:
            figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def _show(axes: Axes, tile: Tile) -> None:
    low, high = np.percentile(tile.plane, SHOWN)
    y, x = tile.pixel_um
    axes.imshow(tile.plane, cmap="gray", vmin=low, vmax=high, aspect=y / x, interpolation="nearest")
    axes.set_title(f"{tile.title}\n{tile.field}", fontsize=8)
    axes.axis("off")


def _square(title: str, plane: AnyArray, pixel_um: tuple[float, float]) -> Tile:
    """The middle of a plane, a square of :data:`SIDE` pixels or what there is."""
    y, x = (slice(max(0, (count - SIDE) // 2), max(0, (count - SIDE) // 2) + SIDE) for count in plane.shape)
    return Tile(title, plane[y, x], pixel_um)


def _middle(title: str, volume: Volume, height: float) -> Tile:
    """A plane of a volume at a share of its depth; its last row on top, so that y points upwards."""
    voxels = volume.channel()
    _, y, x = volume.grid.spacing_um
    return Tile(title, np.asarray(voxels[int(height * len(voxels))])[::-1], (y, x))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, help="real planes above drawn ones")
    parser.add_argument("--embryo", type=Path, help="one embryo before all instruments")
    options = parser.parse_args(arguments)
    if options.out:
        drawn_picture([list(real_tiles(options.data)), list(drawn_tiles())], options.out)
    if options.embryo:
        titles = {
            "light_sheet": "light sheet",
            "brightfield": "brightfield",
            "swir": "SWIR",
            "ct": "CT, iodine",
            "mri": "MRI",
        }
        tiles = list(embryo_tiles(load_phantom(PHANTOMS / "embryo.yaml").build(), titles))
        drawn_picture([tiles[:3], tiles[3:]], options.embryo)


if __name__ == "__main__":
    main()
