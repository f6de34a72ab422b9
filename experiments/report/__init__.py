"""A run told in one HTML file that needs no network: pictures, plots, tables and the facts to repeat it."""

from __future__ import annotations

from pathlib import Path

from experiments.report.sections import (
    EvaluationSection,
    FusionSection,
    InputFact,
    Origin,
    RegistrationSection,
    Report,
    RunFacts,
    Section,
    SegmentationSection,
    StageTiming,
    TrackingSection,
    TruthError,
)

__all__ = [
    "EvaluationSection",
    "FusionSection",
    "InputFact",
    "Origin",
    "RegistrationSection",
    "Report",
    "RunFacts",
    "Section",
    "SegmentationSection",
    "StageTiming",
    "TrackingSection",
    "TruthError",
    "overview_picture",
    "write_report",
]


def write_report(report: Report, path: Path) -> None:
    """Write the report as one self-contained HTML file, replacing ``path`` at once.

    Equal reports give equal files.
    """
    from experiments.report.page import page
    from volumes.atomic import write_text

    write_text(path, page(report))


def overview_picture(report: Report, path: Path) -> None:
    """Write a PNG of about 1600 × 420 pixels in four panels: before, aligned, fused, tracks; replaces ``path``."""
    from experiments.report.overview import draw_overview
    from volumes.atomic import replacing_file

    picture = draw_overview(report)
    with replacing_file(path) as temporary:
        picture.save(temporary, "PNG")
