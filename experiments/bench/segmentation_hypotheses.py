"""What choosing among segmentations by linking is worth on movies with labels: each setting alone, and the choice.

    python -m experiments.bench.segmentation_hypotheses --movies hl60 CHO --count 5

hl60 is simulated and ships with the package; CHO (Fluo-N3DH-CHO 02, 20 frames) has silver labels, made by a program,
which miss dim and border nuclei. ``likeliest`` takes of competing cells those that most settings have, frame by frame.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import tracking3d
import volumes
from experiments.bench.segmentation_volumes import CHO_SHAPE, CHO_UM
from experiments.segment_files import segmenter_config
from tracking3d.claims import painted
from tracking3d.link.contest import likeliest
from tracking3d.match import Scores, score
from tracking3d.segment.hypotheses import DEPTHS, competing, varied
from tracking3d.tracks import Tracks
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

log = logging.getLogger(__name__)


def read_movie(name: str, data: Path) -> tuple[TimeLapse, list[Volume]]:
    """A movie and its labels, by name: ``hl60`` or ``CHO``."""
    if name == "hl60":
        from configs import demo_data

        layout = volumes.Layout(axes="TZYX", sizes=(75, 12, 44, 80), spacing_um=(1.0, 1.0, 1.0), dt_s=600.0)
        image, truth = (
            volumes.read_timelapse(demo_data(f"hl60_{part}.tif"), modality=modality, layout=layout)
            for part, modality in (("images", "fluorescence"), ("labels", "labels"))
        )
        return image, list(truth)
    import tifffile

    folder = data / "tracking" / "movies"
    raw, silver = (
        tifffile.imread(folder / f"Fluo-N3DH-CHO_02_{part}.tif").reshape(CHO_SHAPE) for part in ("img", "ERR_SEG")
    )
    labels = [volumes.from_array(frame.astype(np.uint32), CHO_UM, modality="labels") for frame in silver]
    return TimeLapse.from_array(raw, CHO_UM, dt_s=570.0, modality="fluorescence"), labels


def pooled(truth: Sequence[Volume], found: TimeLapse) -> Scores:
    """The scores of all frames together."""
    scores = [score(frame, found[t]) for t, frame in enumerate(truth)]
    return sum(scores[1:], start=scores[0])


def main() -> None:
    """Print a table of all movies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--movies", nargs="+", default=["hl60", "CHO"])
    parser.add_argument("--kind", default="watershed")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("| movie | cells from | AP | F1 | SEG | DET | missed | spurious | merged | CPU s |\n%s|", "|---" * 10)
    for name in asked.movies:
        _compare(name, *read_movie(name, asked.data), asked.kind, asked.count)


def _compare(name: str, movie: TimeLapse, truth: Sequence[Volume], kind: str, count: int) -> None:
    labels, begun = [], time.process_time()
    for how in varied(segmenter_config(kind, {}), count):
        labels.append(tracking3d.segment(movie, how))
        depth = getattr(how, DEPTHS[kind])
        _tell(name, f"depth {depth:.3f}", pooled(truth, labels[-1]), time.process_time() - begun)
        begun = time.process_time()
    found = competing(labels, movie)
    rows = likeliest(found.cells)
    alone = Tracks(found.cells.take(rows), np.full(int(rows.sum()), -1))
    _tell(name, "likeliest", pooled(truth, painted(alone, found.pieces)[1]), time.process_time() - begun)
    begun = time.process_time()
    tracks = tracking3d.link(found.cells)
    spent = time.process_time() - begun
    _tell(name, "chosen", pooled(truth, painted(tracks, found.pieces)[1]), spent)


def _tell(movie: str, way: str, scores: Scores, cpu_s: float) -> None:
    figures = " | ".join(f"{value:.3f}" for value in (scores.ap, scores.f1, scores.seg, scores.det))
    counts = f"{scores.missed} | {scores.spurious} | {scores.merged}"
    log.info("| %s | %s | %s | %s | %.1f |", movie, way, figures, counts, cpu_s)


if __name__ == "__main__":
    main()
