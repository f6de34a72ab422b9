"""The page itself: every section's view put through the templates into one HTML text."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import assert_never

from jinja2 import Environment, PackageLoader, StrictUndefined

from experiments.report.evaluation_view import evaluation_view
from experiments.report.fusion_view import fusion_view
from experiments.report.quantities import Row, seconds_text
from experiments.report.registration_view import registration_view
from experiments.report.sections import (
    EvaluationSection,
    FusionSection,
    Origin,
    RegistrationSection,
    Report,
    RunFacts,
    Section,
    SegmentationSection,
    TrackingSection,
)
from experiments.report.segmentation_view import segmentation_view
from experiments.report.tracking_view import tracking_view
from experiments.report.views import SectionView, Share

ORIGIN_WORDS: dict[Origin, str] = {"real": "real data", "simulated": "simulated", "mixed": "mixed"}


@dataclass(frozen=True)
class Timings:
    """Bars of the stages' times, and their sum."""

    parts: tuple[tuple[str, tuple[Share, ...]], ...]
    total: str


def page(report: Report) -> str:
    """The HTML of a report; equal reports give equal text."""
    templates = _templates()
    script = templates.get_template("report.js").render()
    views = [_view(section, f"s{number}") for number, section in enumerate(report.sections, start=1)]
    return templates.get_template("page.html").render(
        report=report,
        facts=report.facts,
        views=views,
        key_figures=[figure for view in views for figure in view.key_figures],
        timings=timings_of(report.facts),
        versions=[Row(name, version) for name, version in report.facts.versions.items()],
        origin_words=ORIGIN_WORDS,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def timings_of(facts: RunFacts) -> Timings:
    """The stages grouped by part in their order, as shares of the longest."""
    longest = max((timing.seconds for timing in facts.timings if not timing.cached), default=0.0) or 1.0
    parts: dict[str, list[Share]] = {}
    for timing in facts.timings:
        text = "cached" if timing.cached else seconds_text(timing.seconds)
        share = 0.0 if timing.cached else max(0.0, timing.seconds / longest)
        parts.setdefault(timing.part, []).append(Share(timing.stage, share, text, not timing.cached))
    total = sum(timing.seconds for timing in facts.timings if not timing.cached)
    return Timings(tuple((part, tuple(shares)) for part, shares in parts.items()), seconds_text(total))


def _view(section: Section, anchor: str) -> SectionView:
    match section:
        case RegistrationSection():
            return registration_view(section, anchor)
        case FusionSection():
            return fusion_view(section, anchor)
        case SegmentationSection():
            return segmentation_view(section, anchor)
        case TrackingSection():
            return tracking_view(section, anchor)
        case EvaluationSection():
            return evaluation_view(section, anchor)
        case _:
            assert_never(section)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("experiments", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.tests["kind"] = _is_kind
    return templates


def _is_kind(value: object, name: str) -> bool:
    """Whether a view's class is called ``name``: which macro shows it."""
    return type(value).__name__ == name
