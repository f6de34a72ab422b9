"""How tracks are shown: projections in µm, the lineage tree, cells over time, speeds, scores."""

from __future__ import annotations

import numpy as np

from experiments.report.lineage import Branches, branches_of
from experiments.report.quantities import Row, number_text, rows_of
from experiments.report.sections import TrackingSection
from experiments.report.tracks_plot import projections, speeds
from experiments.report.tree_plot import curve, histogram, lineage_tree
from experiments.report.views import Badge, Gallery, KeyFigure, Named, SectionView, Sketch, Table, first_known

SCORES = ("edge f1", "division f1", "tra", "edge jaccard")
"""Names looked for in the table, for the large figures at the top."""


def tracking_view(section: TrackingSection, anchor: str) -> SectionView:
    """The section as the template shows it."""
    badge = Badge(section.origin, section.origin_note)
    branches = branches_of(section.t, section.parent)
    tracks, tracks_out = projections(section, branches)
    tree, trees_out = lineage_tree(branches, anchor)
    ends = _frames(section)
    counts = _counts(section, branches)
    wide = (
        Sketch(f"{anchor}-tracks", f"Positions in µm, coloured by frame.{_missing(tracks_out)}", badge, tracks, ends),
        Sketch(f"{anchor}-tree", _tree_caption(trees_out), badge, tree, None),
        Gallery(f"{anchor}-graphs", "Over all tracks; speeds up to their 99th percentile.", badge, _graphs(section)),
    )
    return SectionView(
        anchor=anchor,
        kind="Tracking",
        name=section.name,
        lead=_lead(section, branches),
        figures=(),
        wide=wide,
        tables=(*((Table("Tracks", rows_of(section.table)),) if section.table else ()), Table("Counts", counts)),
        advice=section.advice,
        key_figures=_key_figures(section, branches, anchor, badge),
    )


def _frames(section: TrackingSection) -> tuple[str, str]:
    if not len(section.t):
        return "–", "–"
    return number_text(int(section.t.min())), number_text(int(section.t.max()))


def _lead(section: TrackingSection, branches: Branches) -> str:
    if not len(section.t):
        return "No cell was followed."
    detections, trees = number_text(len(section.t)), number_text(len(branches.roots))
    return f"{detections} detections in {trees} lineages with {number_text(branches.divisions)} divisions."


def _missing(left_out: int) -> str:
    return f" The largest lineages; {number_text(left_out)} smaller ones are left out." if left_out else ""


def _tree_caption(left_out: int) -> str:
    return (
        "Time runs down from frame to frame; a fork is a division. Lineages stand side by side, those with most "
        f"detections first.{_missing(left_out)}"
    )


def _graphs(section: TrackingSection) -> tuple[Named, ...]:
    span = np.bincount(section.t - section.t.min()) if len(section.t) else np.zeros(0)
    cells = curve(span, f"Cells a frame, at most {number_text(span.max() if len(span) else 0)}")
    first, last = _frames(section)
    out = [Named("Cells a frame", cells, f"frame {first} to {last}")]
    fast = speeds(section)
    if len(fast):
        drawing = histogram(fast, f"Histogram of {len(fast)} speeds along the edges", "µm/min")
        out.append(Named("Speed along each edge", drawing, f"median {number_text(float(np.median(fast)))} µm/min"))
    return tuple(out)


def _counts(section: TrackingSection, branches: Branches) -> tuple[Row, ...]:
    rows = [
        Row("detections", number_text(len(section.t))),
        Row("frames", number_text(len(np.unique(section.t)))),
        Row("tracks", number_text(len(np.unique(section.track_id)))),
        Row("lineages", number_text(len(branches.roots))),
        Row("divisions", number_text(branches.divisions)),
    ]
    named = {key.lower() for key in section.table}
    rows = [row for row in rows if row.name not in named]
    fast = speeds(section)
    if len(fast):
        rows.append(Row("speed, median", number_text(float(np.median(fast))), "µm/min"))
        rows.append(Row("speed, 95th percentile", number_text(float(np.percentile(fast, 95))), "µm/min"))
    return tuple(rows)


def _key_figures(section: TrackingSection, branches: Branches, anchor: str, badge: Badge) -> tuple[KeyFigure, ...]:
    score = first_known(rows_of(section.table), SCORES)
    first = KeyFigure(score.value, score.unit, score.name, anchor, badge) if score else None
    count = KeyFigure(number_text(branches.divisions), "", "divisions found", anchor, badge)
    return (first, count) if first else (count,)
