"""The rules of the review of cell tracking, each as it stands there, one file a rule.

>>> import numpy as np
>>> import tracking3d
>>> from tracking3d.link.literal import LiteralLinkerConfig
>>> seen = tracking3d.Detections.of(t=[0, 1, 2, 3], zyx_um=np.array([[0, 0, x] for x in (0.0, 5.0, 10.0, 30.0)]))
>>> tracks, report = LiteralLinkerConfig(diameter_um=8.0).build().trace(seen)
>>> tracks.parent
array([-1,  0,  1, -1])
>>> report.links, report.size, report.turning
(2, 0, 0)
"""

from tracking3d.link.literal.config import LiteralLinkerConfig
from tracking3d.link.literal.linker import LiteralLinker
from tracking3d.link.literal.report import LiteralReport

__all__ = ["LiteralLinker", "LiteralLinkerConfig", "LiteralReport"]
