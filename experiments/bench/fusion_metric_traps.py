"""What published fusion figures reward: copies of one source, the pixelwise maximum, noise.

    python -m experiments.bench.fusion_metric_traps --out results/bench/fusion_metric_traps.md

scores both sources alone, their maximum and mean, LP-F with either base, and LP-F with noise on every fourth CT–MRI
slice of the Whole Brain Atlas under FUSETRACK_DATA, and writes the means as a table: the one of docs/fusion-metrics.md.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import fusion
from experiments.pictures import read_grey_levels
from fusion.metrics import EIGHT, evaluate, mean_rank, per_source, unexplained_gradient
from volumes import from_array
from volumes.atomic import write_text
from volumes.errors import VolumeFileError
from volumes.shapes import AnyArray

log = logging.getLogger(__name__)
REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ("CT", "MRI")
EVERY = 4
NOISE = 8.0
"""σ in grey levels."""

Scores = Mapping[str, float]


def ways(ct: AnyArray, mri: AnyArray) -> dict[str, AnyArray]:
    """The pictures that are compared, (y, x) on 0–255, by name."""
    out: dict[str, AnyArray] = {"CT alone": ct, "MRI alone": mri, "maximum": np.maximum(ct, mri)}
    out["mean"] = np.rint((ct.astype(float) + mri) / 2)
    pair = [from_array(picture, (1.0, 1.0, 1.0), modality=m) for picture, m in zip((ct, mri), KINDS, strict=True)]
    for base in ("max", "mean"):
        config = fusion.LPFConfig.model_validate({"base": base, "match": "none"})
        out[f"LP-F, {base} base"] = np.clip(np.rint(fusion.fuse(pair, config).channel()[0]), 0, 255)
    noise = np.random.default_rng(0).normal(0, NOISE, ct.shape)
    out["LP-F, max base, + noise"] = np.clip(np.rint(out["LP-F, max base"] + noise), 0, 255)
    return out


def scored(fused: AnyArray, sources: Sequence[AnyArray]) -> Scores:
    """All figures of one picture, those of each source apart as ``VIF of CT``."""
    parts = per_source(fused, sources)
    apart = {f"{key} of {kind}": v for key, of in parts.items() for kind, v in zip(KINDS, of, strict=True)}
    return {**evaluate(fused, sources), **apart, "unexplained_gradient": unexplained_gradient(fused, sources)}


def table(means: Mapping[str, Scores]) -> str:
    """Markdown: a row a figure, a column a way; the mean rank over the eight figures last."""
    head = [f"| | {' | '.join(means)} |", "|---" * (len(means) + 1) + "|"]
    keys = next(iter(means.values()))
    lines = [f"| {key} | {' | '.join(f'{row[key]:.3f}' for row in means.values())} |" for key in keys]
    ranks = mean_rank(means, EIGHT)
    return "\n".join([*head, *lines, f"| mean rank | {' | '.join(f'{ranks[way]:.2f}' for way in means)} |"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the module; see its text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the table, .md")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = Path(os.environ.get("FUSETRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    folder = data / "fusion" / "harvard" / "CT-MRI"
    paths = sorted((folder / KINDS[0]).glob("*.png"))[::EVERY]
    if not paths:
        raise VolumeFileError("holds no picture", file=folder / KINDS[0], remedy="Set FUSETRACK_DATA")
    rows: dict[str, list[Scores]] = {}
    for path in paths:
        sources = [read_grey_levels(folder / kind / path.name).levels for kind in KINDS]
        for way, fused in ways(*sources).items():
            rows.setdefault(way, []).append(scored(fused, sources))
    means = {way: _mean(own) for way, own in rows.items()}
    write_text(chosen.out, table(means))
    log.info("%d pairs\n%s", len(paths), table(means))


def _mean(rows: Sequence[Scores]) -> Scores:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    main()
