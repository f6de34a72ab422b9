"""Fusion of registered pairs of CT, PET or SPECT with MRI: every kind, by the published figures and by what is lost.

    OMP_NUM_THREADS=1 python -m experiments.bench.fusion --out results/bench/fusion.csv

writes one row a pair and kind into the CSV; beside it the tables (.md, and as numbers _summary.csv), and the best and
the worst pair of each set (.png). Pairs come from FUSETRACK_DATA; colours are scored as grey, and all sources stay on
their own scale of 0–255. Fused pictures are clipped and rounded to 8 bits. Patients that were looked at while the
fusers were made stand in tables of their own; no fuser was trained on any of these pictures. A run that is begun anew
goes on after the rows that are there: those of other weights are kept, and computed again for these.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiments.bench.fusion_kinds import BASE, KINDS, OURS, PYRAMID, Named, named
from experiments.bench.fusion_pairs import SETS, Pair, pairs
from experiments.bench.fusion_picture import draw, extremes
from experiments.bench.fusion_rows import Row, read_rows, row_of, write_rows
from experiments.bench.fusion_summary import Line, as_csv, as_text, lines
from volumes.atomic import write_text
from volumes.errors import ConfigError

log = logging.getLogger(__name__)

PARTS = ("reported", "seen")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fusers = named(options.kinds, options.weights, options.literal, options.prior)
    sets = {other: pairs(options.data, other, options.every, PARTS, options.patients) for other in options.sets}
    chosen = [pair for own in sets.values() for pair in own]
    if not chosen:
        raise ConfigError("no such patient", field="--patients", value=options.patients)
    rows = measured(chosen, fusers, options.out)
    found = summarised(rows, chosen, fusers)
    write_text(options.out.with_name(f"{options.out.stem}_summary.csv"), as_csv([line for ls in found for line in ls]))
    write_text(options.out.with_suffix(".md"), _text(found, fusers, options))
    _picture(rows, chosen, fusers, options.out.with_suffix(".png"))


def measured(chosen: Sequence[Pair], fusers: Sequence[Named], out: Path) -> list[Row]:
    """Fuse and score what is not there yet; after each pair the CSV is written anew.

    Parameters
    ----------
    chosen : the pairs.
    fusers : the kinds.
    out : the CSV.

    Returns
    -------
    All rows, those of other pairs and weights included; the new ones last.
    """
    rows = read_rows(out)
    known = {row.key for row in rows}
    for number, pair in enumerate(chosen, start=1):
        left = [fuser for fuser in fusers if (pair.other, pair.name, fuser.name, fuser.sha) not in known]
        if not left:
            continue
        rows += [row_of(pair, fuser) for fuser in left]
        write_rows(out, rows)
        log.info("%s %s: %d of %d pairs", pair.other, pair.name, number, len(chosen))
    return rows


def summarised(rows: Sequence[Row], chosen: Sequence[Pair], fusers: Sequence[Named]) -> list[list[Line]]:
    """The lines of each set and part, of these pairs and fusers alone."""
    by_key = {row.key: row for row in rows}
    found = []
    for part in PARTS:
        for other in SETS:
            own = [pair for pair in chosen if (pair.other, pair.part) == (other, part)]
            keys = [(other, pair.name, fuser.name, fuser.sha) for fuser in fusers for pair in own]
            found.append(lines([by_key[key] for key in keys], part))
    return found


def _text(found: Sequence[Sequence[Line]], fusers: Sequence[Named], options: argparse.Namespace) -> str:
    weights = ", ".join(f"{fuser.name} {fuser.sha}" for fuser in fusers if fuser.sha)
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, every {options.every} of a patient's slices; weights: {weights or 'none'}.\n\n"
    )
    return head + "\n".join(filter(None, map(as_text, found)))


def _picture(rows: Sequence[Row], chosen: Sequence[Pair], fusers: Sequence[Named], out: Path) -> None:
    by_name = {fuser.name: fuser for fuser in fusers}
    kind = next((name for name in (OURS, PYRAMID) if name in by_name), None)
    if kind is None or BASE not in by_name:
        log.info("no picture: it needs %s, and %s or %s", BASE, OURS, PYRAMID)
        return
    shas = {(fuser.name, fuser.sha) for fuser in fusers}
    current = [row for row in rows if (row.kind, row.sha) in shas]
    found = []
    for other in SETS:
        own = [pair for pair in chosen if (pair.other, pair.part) == (other, "reported")]
        found += extremes([row for row in current if row.other == other], own, kind)
    if found:
        draw(found, by_name, kind, out)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; tables and picture go beside it")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="left out: all whose weights are there")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N of each patient's slices")
    parser.add_argument("--patients", nargs="+", default=(), help="these alone")
    parser.add_argument("--weights", type=Path, help="of dmf-lp; left out: those that come with the package")
    parser.add_argument("--literal", type=Path, help="weights of dmf-lp-literal")
    parser.add_argument(
        "--prior", type=Path, help="weights of ddfm, which is left out without them unless it is among --kinds"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
