"""What an acquisition is: volumes on grids in µm, their transforms, resampling, pyramids and files.

>>> import numpy as np
>>> stack = from_array(np.zeros((4, 8, 8), np.float32), spacing_um=(2.0, 0.5, 0.5), modality="fluorescence")
>>> stack.grid.extent_um
(8.0, 4.0, 4.0)
"""

from volumes.displacement import DisplacementField
from volumes.errors import FusetrackError
from volumes.grid import Grid
from volumes.io import Layout, read, read_timelapse, read_transform, write, write_transform
from volumes.resample import resample, sample
from volumes.timelapse import TimeLapse
from volumes.transform import Affine, Composite, Transform
from volumes.volume import Channel, Volume, from_array

__all__ = [
    "Affine",
    "Channel",
    "Composite",
    "DisplacementField",
    "FusetrackError",
    "Grid",
    "Layout",
    "TimeLapse",
    "Transform",
    "Volume",
    "from_array",
    "read",
    "read_timelapse",
    "read_transform",
    "resample",
    "sample",
    "write",
    "write_transform",
]
