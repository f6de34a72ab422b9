"""A picture of fusion scores over many files: a panel for each figure, a dot for each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.evaluate_fusion import Scores, require_suffix
from volumes.atomic import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".pdf", ".svg")
COLUMNS = 5
PANEL_INCHES = (2.1, 1.7)


def write_figure(rows: Sequence[Scores], names: Sequence[str], out: Path) -> None:
    """Draw every figure over the files in order of their names, a line at the mean; of each source in a colour.

    Parameters
    ----------
    rows : one a file, at least one.
    names : of the sources.
    out : .png, .pdf or .svg.

    Raises
    ------
    OutputError : another format, or a file that cannot be written.
    """
    require_suffix(out, "--figure", FORMATS)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    whole, parts = list(rows[0].figures), list(rows[0].parts)
    count = len(whole) + len(parts)
    lines = -(-count // COLUMNS)
    with mpl.rc_context({"font.size": 7, "svg.hashsalt": "fusion"}):
        figure = Figure((COLUMNS * PANEL_INCHES[0], lines * PANEL_INCHES[1]), layout="constrained")
        panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
        for axes, key in zip(panels, whole, strict=False):
            _dots(axes, [row.figures[key] for row in rows], "0.25", None)
            axes.set_title(key, loc="left")
        for axes, key in zip(panels[len(whole) :], parts, strict=False):
            for m, name in enumerate(names):
                _dots(axes, [row.parts[key][m] for row in rows], f"C{m}", name)
            axes.set_title(f"{key}, each source", loc="left")
        handles, labels = panels[count - 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower right", frameon=False, title="each source")
        for axes in panels[count:]:
            axes.set_axis_off()
        with replacing_file(out) as temporary:
            # Without the date that PDF and SVG would carry, equal scores give equal files.
            date = {".png": "Software", ".pdf": "CreationDate", ".svg": "Date"}[out.suffix.lower()]
            figure.savefig(temporary, dpi=130, format=out.suffix[1:].lower(), metadata={date: None})


def _dots(axes: Axes, values: Sequence[float], colour: str, label: str | None) -> None:
    drawn = np.array(values)
    drawn[~np.isfinite(drawn)] = np.nan
    axes.plot(np.arange(1, len(drawn) + 1), drawn, ".", color=colour, markersize=3, label=label)
    if np.isfinite(drawn).any():
        axes.axhline(float(np.nanmean(drawn)), color=colour, linewidth=0.8)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("file")
