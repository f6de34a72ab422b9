"""Cells: their shapes, their lives and their movements, as exact bodies in the specimen's frame."""

from phantom.cells.cells import DYES, Cells
from phantom.cells.config import CellsConfig
from phantom.cells.history import History, Tracks
from phantom.cells.simulation import simulated

__all__ = ["DYES", "Cells", "CellsConfig", "History", "Tracks", "simulated"]
