"""What a few labelled crops teach the segmenter, and what it forgets for them; beside a U-Net that knows them alone.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_transfer --out results/bench/transfer.csv

GoNuclear 1135 is cut into two halves along x. On crops of the one the weights of the package are fine-tuned, as
``fusetrack train configs/tracking3d/segmenter_fine_tune.yaml --labels few/`` does; the other is scored, with the size
of a cell that those labels have; then the same the other way. The curve runs over 0, 1, 2, 5 crops (sixths of the
half) and the whole half. Every fine-tuned network is scored also on the volumes that it never saw
(``segmentation_volumes``), their sizes estimated: it may forget no more than .05. CPU seconds are those of the
training, its imports and its specimens included. ``--parts`` runs a part; rows are added to the CSV. ``--anchors``
looks at one training with several shares of the weights that it began from (``loop.anchor``), which change nothing of
its steps; ``--seeds`` trains once for each, on specimens and batches of its own.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import volumes
from configs import __file__ as configs_file
from experiments.bench.segmentation_scratch import found, trained
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from experiments.fine_tuning import fine_tuned
from experiments.mean_weights import mean_weights
from experiments.tasks.cell_labelled import median_diameter_um
from experiments.training import train
from experiments.training_config import load_training, resolved
from tracking3d import segment
from tracking3d.cell_scores import outcomes, pooled, scores
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.inference import SHIPPED
from volumes.volume import Volume, from_array

log = logging.getLogger(__name__)

LEARNT = "gonuclear-1135"
CROPS = (0, 1, 2, 5, 6)
"""Labelled crops of the curve; all six are the half."""
WAYS = ("left to right", "right to left")
SCRATCH_S = 300.0
MIN_VOXELS = 100
CONFIG = Path(configs_file).parent / "tracking3d" / "segmenter_fine_tune.yaml"
Segment = Callable[[Volume], Volume]


@dataclass(frozen=True)
class Row:
    """One network on one volume."""

    network: str
    way: str
    crops: int
    seed: int
    anchor: float
    cpu_s: float
    case: str
    ap: float
    seg: float
    true_cells: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, and add its rows to the table."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for way in options.ways:
        learnt, other = halves(read_case(LEARNT, options.data), WAYS.index(way))
        for part in options.parts:
            with tempfile.TemporaryDirectory() as folder:
                if part == "scratch":
                    _write(options.out, _scratch(way, learnt, other, Path(folder)))
                    continue
                for seed in options.seeds if int(part) else options.seeds[:1]:
                    place = Path(folder) / str(seed)
                    _write(options.out, _tuned(way, int(part), seed, learnt, other, place, options))


def halves(case: Case, way: int) -> tuple[Case, Case]:
    """The half that is learnt from and the other one, of a case of one frame."""
    image, truth = case.images[0], case.truths[0]
    middle = image.grid.shape[2] // 2
    parts = [
        Case((_cut(image, columns, "fluorescence"),), (_cut(truth, columns, "labels"),), case.note)
        for columns in (slice(0, middle), slice(middle, None))
    ]
    return parts[way], parts[1 - way]


def sixths(half: Case) -> list[tuple[Volume, Volume]]:
    """Crops of a half: two along z, three along y."""
    nz, ny, _ = half.images[0].grid.shape
    places = [
        (slice(i * nz // 2, (i + 1) * nz // 2), slice(j * ny // 3, (j + 1) * ny // 3))
        for i in range(2)
        for j in range(3)
    ]
    return [(_part(half.images[0], p, "fluorescence"), _part(half.truths[0], p, "labels")) for p in places]


def _cut(volume: Volume, columns: slice, modality: str) -> Volume:
    return from_array(np.ascontiguousarray(volume.channel()[:, :, columns]), volume.grid.spacing_um, modality=modality)


def _part(volume: Volume, place: tuple[slice, slice], modality: str) -> Volume:
    return from_array(np.ascontiguousarray(volume.channel()[place]), volume.grid.spacing_um, modality=modality)


def _written(half: Case, crops: int, folder: Path) -> list[tuple[Path, Path]]:
    """The crops as files; those in which a cell is labelled."""
    whole = [(half.images[0], half.truths[0])]
    pairs = whole if crops == max(CROPS) else [pair for pair in sixths(half) if pair[1].channel().any()][:crops]
    paths = [(folder / f"{i}_image.nii.gz", folder / f"{i}_labels.nii.gz") for i in range(len(pairs))]
    for (image, labels), (first, second) in zip(pairs, paths, strict=True):
        volumes.write(image.with_data(image.array.astype(np.float32)), first)
        volumes.write(labels.with_data(labels.array.astype(np.uint16)), second)
    return paths


def _tuned(
    way: str, crops: int, seed: int, learnt: Case, other: Case, folder: Path, options: argparse.Namespace
) -> list[Row]:
    """The weights after a fine-tuning, on the other half and on the volumes that neither training saw."""
    begun, start = time.process_time(), Path(options.weights)
    sets = {0.0: start}
    if crops:
        few = folder / "few"
        few.mkdir(parents=True)
        _written(learnt, crops, few)
        sets = _trained(few, seed, start, folder, options)
    spent = time.process_time() - begun

    rows = []
    for anchor, weights in sets.items():
        # Whoever has labels knows the size of a cell; on the other volumes it is estimated, as always.
        known = CellNetworkConfig(weights=weights, diameter_um=_across(learnt))
        blind = CellNetworkConfig(weights=weights)
        cases = {"the other half": (other, known), "the other half, size estimated": (other, blind)}
        cases |= {name: (read_case(name, options.data), blind) for name in CASES if name != LEARNT}
        about = (f"fine-tuned, {crops} crops", way, crops, seed, anchor, spent)
        rows += [_scored(about, name, case, partial(segment, kind=how)) for name, (case, how) in cases.items()]
    return rows


def _trained(few: Path, seed: int, start: Path, folder: Path, options: argparse.Namespace) -> dict[float, Path]:
    """One training on the crops of a folder; its weights by the share of those that it began from."""
    changes = {"task.held_out": "1", "task.seed": str(seed), "loop.seed": str(seed)}
    if options.anchors:
        changes["loop.anchor"] = "0"
    config = fine_tuned(load_training(options.config, changes), start, None, few)
    done = train(config.task.build(), config.loop, folder / "run", config=resolved(config)).weights
    assert done is not None  # noqa: S101 - no budget is set
    if not options.anchors:
        return {config.loop.anchor: done}
    sets = {anchor: folder / f"anchor-{anchor:g}.safetensors" for anchor in options.anchors}
    for anchor, path in sets.items():
        if anchor:
            mean_weights((start, done), (anchor, 1 - anchor), path)
    return {anchor: path if anchor else done for anchor, path in sets.items()}


def _across(case: Case) -> float:
    truth = case.truths[0]
    return median_diameter_um(truth.channel(), truth.grid.spacing_um)


def _scratch(way: str, learnt: Case, other: Case, folder: Path) -> list[Row]:
    paths, begun = _written(learnt, max(CROPS), folder), time.process_time()
    net = trained(paths, SCRATCH_S)
    spent = time.process_time() - begun
    labels = [second for _, second in paths]
    name, how = "MONAI UNet from scratch", lambda volume: found(net, volume, labels)
    return [_scored((name, way, max(CROPS), 0, 0.0, spent), "the other half", other, how)]


def _scored(about: tuple[str, str, int, int, float, float], name: str, case: Case, how: Segment) -> Row:
    """The row of one network on one case; ``about`` are the row's first fields."""
    each = [
        outcomes(truth, how(image), min_voxels=MIN_VOXELS)
        for image, truth in zip(case.images, case.truths, strict=True)
    ]
    table = pooled(each)
    made = scores(table)
    row = Row(*about, name, made["AP"], made["SEG"], int(table.true.sum()))
    log.info("%s", row)
    return row


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(Row.__annotations__)
        for row in rows:
            values = vars(row).values()
            writer.writerow([f"{value:.3f}" if isinstance(value, float) else value for value in values])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("results/bench/transfer.csv"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--parts", nargs="+", default=["scratch", *map(str, CROPS)])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--anchors", type=_share, nargs="+", default=[], help="instead of the config's")
    return parser.parse_args(arguments)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to below 1")
    return value


if __name__ == "__main__":
    main()
