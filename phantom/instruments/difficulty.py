"""How a parameter that is left out follows from the difficulty of the world, 0 (easy) to 1 (barely solvable)."""

from __future__ import annotations

import math

from volumes.errors import ConfigError


def chosen(value: float | None, otherwise: float) -> float:
    """A parameter where it is given, also when it is 0."""
    return otherwise if value is None else value


def over(value: float, difficulty: float) -> float:
    """``value / difficulty``, infinite where nothing is difficult."""
    return value / difficulty if difficulty > 0 else math.inf


def require_difficulty(difficulty: float) -> None:
    """Raise ConfigError for a difficulty outside of [0, 1]."""
    if not 0 <= difficulty <= 1:
        raise ConfigError("must be between 0 and 1", field="difficulty", value=difficulty)
