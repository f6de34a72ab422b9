"""Live light-sheet stacks of two zebrafish onto each other and onto the Z-Brain atlas; what closed loops say of it.

    python -m experiments.bench.live_zebrafish --out results/bench/zebrafish.csv --deformable --pictures docs/images

No truth is known. A fish's stacks from before and after an ablation and the atlas's two stains make six pairs; five are
registered, the sixth is the identity, for the stains lie in one space. Points of the stack's bright tissue that
go round a loop of pairs ought to come back. Beside the CSV of the pairs lie those of the loops (``_loops``) and of the
two ways to the atlas (``_bridges``), and a page of tables (.md). The data lies in FUSETRACK_DATA.
"""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.live_zebrafish_registrars import AsGiven, Clocked, Peer
from registration.deformable.deformable import DeformableConfig
from registration.given import assess
from registration.graph import Graph, Link, Loop, Task, register_graph
from registration.linear.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.result import Registrar
from volumes.atomic import write_text
from volumes.errors import ConfigError
from volumes.io import read
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
FISH = ("2016-10-18fish1", "2016-10-24fish1")
STAINS = {"tERK": "zbrain-tERK-8bit_xyz5um", "H2B-RFP": "zbrain-H2B-RFP_6dpf_mean10fish_8bit_xyz5um"}
CELL_UM = 6.0
"""Diameter of a neuron's body, by which errors are judged."""
UPRIGHT = 0
"""Rotations searched besides small ones where it is known that all stacks lie with the nose and the back one way."""


@dataclass(frozen=True)
class Way:
    """How the pairs are registered: the two stacks of a fish, and a stack to the atlas."""

    stacks: Registrar
    atlas: Registrar


SHOWN, DEFORMED = "affine, upright", "deformable, upright"
"""The way whose results are drawn, and the one that is tried on the first fish alone."""
UPRIGHT_RIGID = RigidConfig(rotations=UPRIGHT)
UPRIGHT_AFFINE = AffineConfig(rotations=UPRIGHT)
WAYS: Mapping[str, Way] = {
    "affine, any rotation": Way(RigidConfig().build(), AffineConfig().build()),
    SHOWN: Way(UPRIGHT_RIGID.build(), UPRIGHT_AFFINE.build()),
    "similarity, upright": Way(UPRIGHT_RIGID.build(), SimilarityConfig(rotations=UPRIGHT).build()),
    "SimpleITK affine": Way(Peer("rigid"), Peer("affine")),
    DEFORMED: Way(UPRIGHT_RIGID.build(), DeformableConfig(linear=UPRIGHT_AFFINE).build()),
}
DEFAULT_WAYS = tuple(WAYS)[:4]


@dataclass(frozen=True)
class PairRow:
    """One pair; the similarities are NMI, ``judged`` the one by which all ways are compared, on the same samples.

    ``loop_um`` is the error of the best of its loops.
    """

    fish: str
    way: str
    fixed: str
    moving: str
    similarity_before: float
    similarity_after: float
    judged: float
    overlap: float
    rotation_deg: float
    volume_change: float
    spread_um: float
    status: str
    loop_um: float
    cpu_s: float
    reasons: str


@dataclass(frozen=True)
class LoopRow:
    """One loop: how far points of the stack come back from where they began."""

    fish: str
    way: str
    loop: str
    error_um: float
    cells: float
    closes: bool


@dataclass(frozen=True)
class BridgeRow:
    """How the stack from before lies in the atlas.

    Parameters
    ----------
    fish, way, stain : what was registered.
    apart_um, cells : how far apart its places lie, found directly and by way of the stack from after.
    outside : share of its bright tissue that lies more than a voxel outside the atlas's brain, found directly.
    """

    fish: str
    way: str
    stain: str
    apart_um: float
    cells: float
    outside: float


def stacks(data: Path, fish: str) -> dict[str, Volume]:
    """A fish before (``pre``) and after (``post``), and the atlas's two stains.

    Raises
    ------
    VolumeFileError : the data folder lacks one of them.
    """
    names = {kind: f"zf_lightsheet_ref_{fish}_{kind}_xyz5um" for kind in ("pre", "post")} | STAINS
    folder = data / "registration"
    return {name: read(folder / f"{file}.nrrd", modality="fluorescence") for name, file in names.items()}


def registered(volumes: Mapping[str, Volume], way: Way) -> tuple[Graph, list[float]]:
    """All six pairs of a fish and the atlas, and each one's seconds of CPU.

    Loops are measured on the stack's own tissue: what the atlas shows beyond the stack's field says nothing of it.
    """
    clocks = {"stacks": Clocked(way.stacks), "atlas": Clocked(way.atlas), "stains": Clocked(AsGiven())}
    stains = list(STAINS)
    pairs = [("pre", "post", "stacks"), *((stain, kind, "atlas") for stain in stains for kind in ("pre", "post"))]
    pairs.append((stains[0], stains[1], "stains"))
    tasks = [Task(fixed, moving, clocks[kind]) for fixed, moving, kind in pairs]
    graph = register_graph(volumes, stains[0], tasks)
    return graph, [clocks[kind].cpu_s.pop(0) for _, _, kind in pairs]


def loops_in_view(graph: Graph) -> tuple[Loop, ...]:
    """The graph's loops, measured on points of the stacks alone.

    A loop that begins at the atlas begins at the places of the stack's tissue in it.
    """
    points = dict(graph.points_um)
    for name in STAINS:
        points[name] = between(graph, "pre", name)(graph.points_um["pre"])
    return replace(graph, points_um=points).loops


def measured(
    run: tuple[str, str], volumes: Mapping[str, Volume], graph: Graph, cpu_s: Sequence[float]
) -> Iterator[DataclassInstance]:
    """The rows of one run: a fish registered in one way."""
    fish, name = run
    loops = loops_in_view(graph)
    for place, (link, seconds) in enumerate(zip(graph.links, cpu_s, strict=True)):
        best = min(loop.error_um for loop in loops if place in loop.links)
        judged = assess(link.registered.transform, volumes[link.fixed], volumes[link.moving]).quality
        yield _pair_row(run, link, (judged.similarity_after, best, seconds))
    for loop in loops:
        way = " → ".join((*loop.names, loop.names[0]))
        yield LoopRow(fish, name, way, loop.error_um, loop.error_um / CELL_UM, loop.closes)
    for stain in STAINS:
        apart = apart_um(graph, stain)
        yield BridgeRow(fish, name, stain, apart, apart / CELL_UM, outside(volumes, graph, stain))


def between(graph: Graph, start: str, end: str) -> Transform:
    """Points of one volume to points of another, by the pair that joins them.

    Raises
    ------
    ConfigError : no such pair.
    """
    for link in graph.links:
        if {link.fixed, link.moving} == {start, end}:
            return link.between(start)
    raise ConfigError("no such pair", field="pairs", value=(start, end), remedy="Register the two")


def apart_um(graph: Graph, stain: str) -> float:
    """How far apart the bridged way pre → post → atlas and the direct one pre → atlas lie, the mean over the stack."""
    points = graph.points_um["pre"]
    bridged = between(graph, "post", stain)(between(graph, "pre", "post")(points))
    return float(np.linalg.norm(bridged - between(graph, "pre", stain)(points), axis=1).mean())


def outside(volumes: Mapping[str, Volume], graph: Graph, stain: str) -> float:
    """Share of the stack's bright tissue that lies more than a voxel outside the atlas's brain, or outside its field.

    The brain is where either stain is above Otsu's threshold of its logarithm, with its holes filled. No registration
    looks at it: a map that makes intensities alike and lays tissue beside the brain is found out.
    """
    grid = volumes[stain].grid
    index = np.rint(grid.to_index(between(graph, "pre", stain)(graph.points_um["pre"]))).astype(int)
    shape = np.asarray(grid.shape)
    inside = ((index >= 0) & (index < shape)).all(axis=1)
    z, y, x = np.clip(index, 0, shape - 1).T
    return float(1 - (inside & atlas_brain(volumes)[z, y, x]).mean())


def atlas_brain(volumes: Mapping[str, Volume]) -> Mask:
    """(z, y, x) of the atlas, True in its tissue and up to a voxel around it."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    brain = np.zeros(volumes["tERK"].grid.shape, bool)
    for stain in STAINS:
        bright = np.log1p(np.asarray(volumes[stain].channel(), np.float64))
        brain |= bright > threshold_otsu(bright)
    grown: Mask = ndimage.binary_dilation(ndimage.binary_fill_holes(brain))
    return grown


def summary(rows: Sequence[DataclassInstance]) -> str:
    """Markdown: a table of each kind of row."""
    kinds: tuple[type[Any], ...] = (PairRow, LoopRow, BridgeRow)
    parts = []
    for kind in kinds:
        names = [each.name for each in fields(kind) if each.name != "reasons"]
        lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
        lines += [f"| {' | '.join(_text(getattr(row, n)) for n in names)} |" for row in rows if isinstance(row, kind)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write; after every fish and way what stands so far is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, required=True, help="the CSV of the pairs; the others go beside it")
    parser.add_argument("--fish", nargs="+", choices=FISH, default=FISH)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=DEFAULT_WAYS)
    parser.add_argument("--deformable", action="store_true", help="that way too, of the first fish")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: list[DataclassInstance] = []
    for fish in chosen.fish:
        volumes = stacks(chosen.data, fish)
        first = fish == chosen.fish[0]
        for name in (*chosen.ways, *([DEFORMED] if chosen.deformable and first else [])):
            graph, cpu_s = registered(volumes, WAYS[name])
            rows += measured((fish, name), volumes, graph, cpu_s)
            _keep(rows, chosen.out)
            if chosen.pictures:
                _draw(volumes, graph, (fish, name), chosen.pictures)
    log.info("%s", summary(rows))


def _draw(volumes: Mapping[str, Volume], graph: Graph, run: tuple[str, str], folder: Path) -> None:
    from experiments.bench.live_zebrafish_picture import draw_bridge, draw_stacks

    if run == (FISH[1], SHOWN):
        draw_stacks(volumes, graph, folder / "zebrafish_pre_post.png")
    if run == (FISH[0], SHOWN):
        draw_bridge(volumes, graph, folder / "zebrafish_atlas.png")


def _pair_row(run: tuple[str, str], link: Link, more: tuple[float, float, float]) -> PairRow:
    judged, loop_um, cpu_s = more
    quality = link.registered.quality
    return PairRow(
        *run,
        link.fixed,
        link.moving,
        quality.similarity_before,
        quality.similarity_after,
        judged,
        quality.overlap,
        quality.rotation_deg,
        quality.jacobian_min,
        quality.spread_um,
        link.registered.status.value,
        loop_um,
        cpu_s,
        "; ".join(link.registered.reasons),
    )


def _keep(rows: Sequence[DataclassInstance], out: Path) -> None:
    for kind, end in ((PairRow, ""), (LoopRow, "_loops"), (BridgeRow, "_bridges")):
        text = io.StringIO()
        writer = csv.DictWriter(text, [each.name for each in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows if isinstance(row, kind))
        write_text(out.with_name(f"{out.stem}{end}{out.suffix}"), text.getvalue())
    write_text(out.with_suffix(".md"), summary(rows))


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
