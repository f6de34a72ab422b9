"""The best and the worst pair of each set, side by side: the sources, the maximum, LP-F and what is shown off.

Every picture is shown from 0 to 255, so that a fuser that dims or saturates is seen to; nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.bench.fusion_kinds import BASE, PYRAMID, Named
from experiments.bench.fusion_pairs import Pair
from experiments.bench.fusion_rows import Row, fused_levels
from volumes.atomic import replacing_file
from volumes.shapes import AnyArray

INCHES = 2.1


@dataclass(frozen=True)
class Extreme:
    """A pair that is the best or the worst.

    Parameters
    ----------
    pair : which.
    word : ``best`` or ``worst``.
    gain : in VIF + Qabf over the maximum.
    """

    pair: Pair
    word: str
    gain: float


def extremes(rows: Sequence[Row], pairs: Sequence[Pair], kind: str) -> list[Extreme]:
    """The best and the worst pair of a set by what the kind gains in VIF + Qabf over the maximum.

    Parameters
    ----------
    rows : of one set, with those of the kind and of the maximum.
    pairs : of the same set.
    kind : whose gain.
    """
    sums = {(row.kind, row.pair): row.VIF + row.Qabf for row in rows}
    gains = {
        pair: sums[kind, pair.name] - sums[BASE, pair.name]
        for pair in pairs
        if (kind, pair.name) in sums and (BASE, pair.name) in sums
    }
    if not gains:
        return []
    found = {"best": max(gains, key=gains.__getitem__), "worst": min(gains, key=gains.__getitem__)}
    return [Extreme(pair, word, gains[pair]) for word, pair in found.items()]


def draw(found: Sequence[Extreme], fusers: Mapping[str, Named], kind: str, out: Path) -> None:
    """Write a PNG: a row for each extreme.

    Parameters
    ----------
    found : at least one.
    fusers : by name; the maximum, LP-F and ``kind`` are shown, as far as they are there.
    kind : the last column.
    out : the file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [name for name in dict.fromkeys((BASE, PYRAMID, kind)) if name in fusers]
    columns = 2 + len(shown)
    with mpl.rc_context({"font.size": 7}):
        figure = Figure((INCHES * columns, 1.13 * INCHES * len(found)), layout="constrained")
        panels = figure.subplots(len(found), columns, squeeze=False)
        for line, extreme in zip(panels, found, strict=True):
            for axes, (title, levels) in zip(line, _tiles(extreme, [fusers[name] for name in shown]), strict=True):
                axes.imshow(levels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axes.set_title(title, loc="left")
                axes.axis("off")
        with replacing_file(out) as temporary:
            figure.savefig(temporary, dpi=120, format="png", metadata={"Software": None})


def _tiles(extreme: Extreme, fusers: Sequence[Named]) -> list[tuple[str, AnyArray]]:
    pair = extreme.pair
    one, other = pair.levels()
    said = f"{pair.other} {pair.name.partition('.')[0]}, {extreme.word}: {extreme.gain:+.3f}"
    return [(said, one), ("MRI", other), *((fuser.name, fused_levels(pair, fuser)) for fuser in fusers)]
