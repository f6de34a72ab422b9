"""What only one picture of a pair shows: faint discs planted in it, found in the fused picture; a figure in no loss.

    OMP_NUM_THREADS=1 python -m experiments.bench.fusion_pair_blobs --out results/bench/fusion_pair_blobs.csv --every 8

Pairs of the patients that were not looked at, as :mod:`experiments.bench.fusion_pairs` has them. Discs lie where both
pictures show tissue, in one of the two at a time; d′ is that of the channelised Hotelling observer over the places of
all pairs of a set, its 95 % interval the bootstrap over patients.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from experiments.bench.fusion_blobs import CHANNELS, HEIGHT, WIDTH, blobs_at, places, radii
from experiments.bench.fusion_kinds import KINDS, Named, named
from experiments.bench.fusion_pairs import SETS, Pair, pairs
from experiments.record_csv import records_as_csv
from fusion.metrics import detectability, patches_around
from volumes.atomic import write_text
from volumes.shapes import AnyArray, Mask

log = logging.getLogger(__name__)

COMPARED = ("max", "mean", "lpf", "max+0.15min", "dmf-lp-unguided", "dmf-lp", "dmf-lp-edges")
"""Kinds that are measured where none are named."""
TISSUE = (10.0, 230.0)
"""Grey levels between which a picture, smoothed by a voxel, shows tissue: neither air nor saturated bone."""
TOP = 255.0


@dataclass(frozen=True)
class Seen:
    """How well the discs of one source are seen.

    Parameters
    ----------
    other : the modality beside MRI.
    kind : the fuser.
    source : in which picture the discs lie.
    dprime, low, high : and its 95 % interval.
    places : how many discs.
    """

    other: str
    kind: str
    source: str
    dprime: float
    low: float
    high: float
    places: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found: list[Seen] = []
    for other in options.sets:
        chosen = pairs(options.data, other, options.every, parts=("reported",))
        for fuser in named(options.kinds):
            for source in (other, "MRI"):
                found.append(seen(fuser, chosen, source, options.resamples))
                log.info("%s", found[-1])
                write_text(options.out, records_as_csv(Seen, found))


def seen(fuser: Named, chosen: Sequence[Pair], source: str, resamples: int, seed: int = 0) -> Seen:
    """d′ of discs in one source of these pairs.

    Parameters
    ----------
    fuser : takes the scale as it is.
    chosen : pairs of one set.
    source : the modality that has the discs.
    resamples : of the bootstrap.
    seed : of the places, the same for all fusers and sources, and of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    patches = [_patches(fuser, pair, source, rng) for pair in chosen]
    patients = sorted({pair.patient for pair in chosen})
    of = [[i for i, pair in enumerate(chosen) if pair.patient == patient] for patient in patients]
    draws = [range(len(patients)), *rng.integers(len(patients), size=(resamples, len(patients)))]
    values = [_dprime([patches[i] for n in draw for i in of[n]]) for draw in draws]
    low, high = np.percentile(values[1:], (2.5, 97.5)) if resamples else (np.nan, np.nan)
    number = sum(len(one) for one, _ in patches)
    return Seen(chosen[0].other, fuser.name, source, values[0], float(low), float(high), number)


def tissue(pair: Pair) -> Mask:
    """(1, y, x), where both pictures show some."""
    smooth = [ndimage.gaussian_filter(levels.astype(np.float32), 1.0) for levels in pair.levels()]
    return np.asarray(np.logical_and.reduce([(TISSUE[0] < s) & (s < TISSUE[1]) for s in smooth]))[None]


def _patches(fuser: Named, pair: Pair, source: str, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """Around the places of a pair, with the discs and without."""
    inside, plain = tissue(pair), pair.volumes()
    centres = places(inside, rng)
    discs = HEIGHT * blobs_at(centres, inside.shape)
    position = 1 if source == "MRI" else 0
    marked = [v.with_data(v.array + discs) if i == position else v for i, v in enumerate(plain)]
    pictures = (np.clip(fuser.fuser.fuse(volumes).channel(), 0, TOP) for volumes in (marked, plain))
    present, absent = (patches_around(picture, centres, radii(inside.shape))[:, 0] for picture in pictures)
    return present, absent


def _dprime(patches: Sequence[tuple[AnyArray, AnyArray]]) -> float:
    present, absent = (np.concatenate(part) for part in zip(*patches, strict=True))
    return detectability(present, absent, 2.5 * WIDTH, CHANNELS)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=COMPARED)
    parser.add_argument("--every", type=int, default=8, metavar="N", help="one in N of each patient's slices")
    parser.add_argument("--resamples", type=int, default=500, help="of the bootstrap over patients")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
