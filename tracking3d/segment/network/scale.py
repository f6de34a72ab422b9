"""How large the cells of an image are, from what the network says of it at several scales."""

from __future__ import annotations

from tracking3d.segment.network.inference import Predictor
from tracking3d.segment.network.view import Read
from volumes.shapes import Shape3, Triple


def estimated_diameter_um(predictor: Predictor, read: Read, shape: Shape3, spacing_um: Triple) -> float | None:
    """The diameter of a typical cell, as a ball of its volume; None where nothing looks like a cell."""
    raise NotImplementedError
