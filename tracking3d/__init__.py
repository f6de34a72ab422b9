"""Volumes over time become tracks: segment, detect, link.

>>> import numpy as np
>>> import tracking3d
>>> cells = tracking3d.Detections.of(t=[0, 1, 2], zyx_um=np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2]]))
>>> tracking3d.link(cells).track_id
array([1, 1, 1])
"""

# ``segment``, ``detect`` and ``link`` are functions here and modules in ``from tracking3d.link.… import``: these lines
# load the modules, and the functions then take their names, for good.
from tracking3d.detect import detect
from tracking3d.detections import Detections
from tracking3d.formats.dispatch import read_tracks
from tracking3d.link import link
from tracking3d.link.correct import correct
from tracking3d.segment import segment
from tracking3d.tracks import Tracks

__all__ = ["Detections", "Tracks", "correct", "detect", "link", "read_tracks", "segment"]
