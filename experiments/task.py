"""What the training loop asks of whoever wants a network trained: five methods, no base class, no registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from volumes.errors import ConfigError
from volumes.shapes import AnyArray

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Validation:
    """How good a network is on what it was not trained on.

    Parameters
    ----------
    scores : metric → unit (a specimen, a patient) → value; a value may be NaN where a unit has none.
    images : name → (y, x) or (y, x, 3), floating numbers in [0, 1], for people to look at.
    criterion : the metric by whose mean over units the best step is chosen.
    higher_is_better : whether that metric grows with quality.

    Raises
    ------
    ConfigError : the criterion is none of the metrics.
    """

    scores: Mapping[str, Mapping[str, float]]
    images: Mapping[str, AnyArray]
    criterion: str
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if self.criterion not in self.scores:
            remedy = f"Name one of {', '.join(self.scores) or 'the scores'}"
            raise ConfigError("is none of the metrics", field="criterion", value=self.criterion, remedy=remedy)

    @property
    def means(self) -> dict[str, float]:
        """Metric → mean over the units that have a value; NaN where none has."""
        return {metric: _mean(units) for metric, units in self.scores.items()}

    def better_than(self, best: float | None) -> bool:
        """Whether the criterion's mean is better than the best so far (None: nothing yet); NaN never is."""
        mean = self.means[self.criterion]
        if best is None:
            return not math.isnan(mean)
        return mean > best if self.higher_is_better else mean < best


class Task(Protocol):
    """A network, what it learns from, and how good it is."""

    def model(self) -> nn.Module:
        """A fresh network on the CPU; the loop has seeded torch just before."""

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """Batch number ``step`` (from 0) on the CPU: it depends on the two numbers alone.

        All randomness of a step is drawn here: samples, augmentation, times and noises. So a run that was killed meets
        the same batches when it goes on, in any number of loading processes.
        """

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Named terms, already weighted, each a scalar; their sum is minimised. ``model`` is called, never opened."""

    def validate(self, model: nn.Module) -> Validation:
        """Scores and pictures of a network in evaluation mode, on its own device; no gradient is kept."""

    def metadata(self) -> Mapping[str, object]:
        """What JSON can hold, for the header of the weights: ``architecture``, and a version of the format."""


def _mean(units: Mapping[str, float]) -> float:
    known = [value for value in units.values() if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
