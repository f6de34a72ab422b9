"""Volumes on one grid → one volume: every source's detail on a common scale.

>>> import numpy as np, volumes
>>> ramp = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
>>> a = volumes.from_array(ramp, spacing_um=(2.0, 0.5, 0.5), modality="MRI")
>>> b = volumes.from_array(ramp[::-1], spacing_um=(2.0, 0.5, 0.5), modality="CT")
>>> fuse([a, b]).channels[0].name
'CT+MRI'
"""

from fusion import metrics
from fusion.config import FuserConfig
from fusion.diffusion.ddfm import DDFMConfig
from fusion.diffusion.dmf_lp import DMFLP, DMFLPConfig, Explained
from fusion.diffusion.literal import LiteralConfig
from fusion.fuse import fuse
from fusion.fuser import Fuser
from fusion.guidance.config import GuidanceConfig
from fusion.lpf import LPF, LPFConfig
from fusion.movies import movie_scales
from fusion.pixelwise import MaxConfig, MeanConfig
from fusion.scales import Scale
from fusion.wavelet import DWTConfig
from fusion.weighted import WeightedConfig

__all__ = [
    "DMFLP",
    "LPF",
    "DDFMConfig",
    "DMFLPConfig",
    "DWTConfig",
    "Explained",
    "Fuser",
    "FuserConfig",
    "GuidanceConfig",
    "LPFConfig",
    "LiteralConfig",
    "MaxConfig",
    "MeanConfig",
    "Scale",
    "WeightedConfig",
    "fuse",
    "metrics",
    "movie_scales",
]
