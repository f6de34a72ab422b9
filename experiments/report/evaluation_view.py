"""How a run's figures against its truth are shown: a table for each thing that was scored."""

from __future__ import annotations

from experiments.report.quantities import number_text, rows_of
from experiments.report.sections import EvaluationSection
from experiments.report.views import SectionView, Table


def evaluation_view(section: EvaluationSection, anchor: str) -> SectionView:
    """The section as the template shows it."""
    tables = tuple(Table(heading, rows_of(rows)) for heading, rows in section.tables.items())
    count = number_text(sum(len(table.rows) for table in tables))
    truth = {"simulated": "the exact truth of what was drawn", "mixed": "a known truth", "real": "a given truth"}
    return SectionView(
        anchor=anchor,
        kind="Evaluation",
        name=section.name,
        lead=f"{count} figures against {truth[section.origin]}; the same as evaluation.csv. {section.origin_note}",
        figures=(),
        wide=(),
        tables=tables,
        advice=(),
        key_figures=(),
    )
