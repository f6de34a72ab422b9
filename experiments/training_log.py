"""What a training writes down as it goes: one JSON object a line for programs, TensorBoard for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from experiments.learner import Step
from experiments.task import Validation
from volumes.atomic import write_text
from volumes.errors import OutputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class TrainingLog:
    """Open files to write to."""

    lines: TextIO
    board: SummaryWriter

    def step(self, number: int, step: Step, seconds: float) -> None:
        """Write down a step; seconds since the training began, over all runs."""
        self._line(
            {
                "step": number,
                "loss": step.loss,
                "terms": dict(step.terms),
                "learning_rate": step.learning_rate,
                "gradient": step.gradient,
                "seconds": round(seconds, 3),
            }
        )
        self.board.add_scalar("loss", step.loss, number)
        for name, value in step.terms.items():
            self.board.add_scalar(f"terms/{name}", value, number)
        self.board.add_scalar("learning_rate", step.learning_rate, number)
        self.board.add_scalar("gradient", step.gradient, number)

    def validation(self, number: int, found: Validation, seconds: float) -> None:
        """Write down what a validation found, and its pictures."""
        self._line({"step": number, "validation": finite(found.scores), "seconds": round(seconds, 3)})
        for metric, mean in found.means.items():
            self.board.add_scalar(f"validation/{metric}", mean, number)
        for name, picture in found.images.items():
            self.board.add_image(name, picture, number, dataformats="HW" if picture.ndim == 2 else "HWC")
        self.board.flush()

    def _line(self, facts: Mapping[str, Any]) -> None:
        self.lines.write(json.dumps(facts, ensure_ascii=False, allow_nan=False) + "\n")
        self.lines.flush()


@contextmanager
def logging_to(lines: Path, board: Path, step: int) -> Iterator[TrainingLog]:
    """A log that goes on after a step: what a killed run wrote of later ones is dropped, since it comes again."""
    from torch.utils.tensorboard import SummaryWriter

    write_text(lines, "".join(line + "\n" for line in _until(lines, step)))
    writer = SummaryWriter(str(board), purge_step=step + 1)
    try:
        with lines.open("a", encoding="utf-8") as handle:
            yield TrainingLog(handle, writer)
    finally:
        writer.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that a killed run left half-written at the end is dropped.

    Raises
    ------
    OutputError : another line is no JSON.
    """
    if not path.exists():
        return []
    found, lines = [], path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise OutputError("is no line of a log", file=path, field=f"line {number}", value=line) from error
    return found


def finite(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Scores as JSON can hold them: None in the place of NaN and infinite values."""
    return {
        metric: {unit: float(value) if math.isfinite(value) else None for unit, value in units.items()}
        for metric, units in scores.items()
    }


def last_terms(path: Path, lines: int = 100) -> dict[str, float]:
    """Means of the loss terms over the last lines of a log."""
    steps = [facts["terms"] for facts in read_log(path) if "terms" in facts][-lines:]
    return {name: math.fsum(terms[name] for terms in steps) / len(steps) for name in (steps[0] if steps else ())}


def _until(lines: Path, step: int) -> list[str]:
    return [json.dumps(facts, ensure_ascii=False) for facts in read_log(lines) if facts["step"] <= step]
