"""The network with its weights, and what it says of a window."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from tracking3d.segment.network.architecture import ArchitectureConfig, architecture_of
from tracking3d.segment.network.build import build_network
from tracking3d.segment.network.config import Arithmetic
from tracking3d.segment.network.heads import HEADS
from volumes.device import DeviceName, Precision, computing_in, require_device
from volumes.errors import WeightsError
from volumes.shapes import Voxels
from volumes.weights import load_into, load_weights

if TYPE_CHECKING:
    from torch import nn

SHIPPED = Path(__file__).parents[1] / "weights" / "cells.safetensors"
"""The weights that come with the package."""
HALO = 16
"""Voxels at a window's edge where the network's maps are not yet those of the whole volume; measured, not proved."""
UNIT = 8
"""Windows begin at multiples of it, so that the coarse levels' voxels are those of the whole volume."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network that is ready to predict."""

    network: nn.Module
    device: torch.device
    precision: Precision

    def maps(self, voxels: Voxels, heads: int = HEADS) -> NDArray[np.float32]:
        """Normalised (z, y, x) → the first of the heads (heads, z, y, x)."""
        shown = torch.from_numpy(np.ascontiguousarray(voxels))[None, None].to(self.device)
        with torch.inference_mode(), computing_in(self.precision, self.device):
            out: NDArray[np.float32] = self.network(shown, heads)[0].float().cpu().numpy()
        return out


def predictor(weights: Path | None, device: DeviceName, precision: Arithmetic) -> Predictor:
    """The network of a file of weights (None: those that come with the package), read once for each version of it.

    Raises
    ------
    WeightsError : no such file, truncated, damaged, or not of a network of ours.
    ConfigError : no such device.
    """
    path = weights or SHIPPED
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    where = require_device(device)
    return Predictor(_loaded(path, stamp, device), where, _computed(precision, where))


@lru_cache(maxsize=4)
def _loaded(path: Path, stamp: int, device: DeviceName) -> nn.Module:
    del stamp
    architecture = trained_architecture(path)
    network = build_network(architecture)
    load_into(network, path, architecture_of(architecture))
    return network.eval().requires_grad_(False).to(device)


def trained_architecture(path: Path) -> ArchitectureConfig:
    """Of which network a file of weights is.

    Raises
    ------
    WeightsError : as :func:`volumes.weights.load_weights`; or of no network that finds cells.
    """
    found = load_weights(path)[1].get("architecture")
    said = dict(found) if isinstance(found, dict) else {}
    sizes = {key: value for key, value in said.items() if key not in ("task", "version")}
    try:
        architecture: ArchitectureConfig = TypeAdapter(ArchitectureConfig).validate_json(json.dumps(sizes))
    except ValidationError:
        architecture = None  # type: ignore[assignment]
    if architecture is None or json.loads(json.dumps(architecture_of(architecture))) != said:
        raise WeightsError(
            "are of no network that finds cells",
            file=path,
            field="architecture",
            value=found,
            remedy="Give weights that `fusetrack train` wrote for the task `segmenter`",
        )
    return architecture


def _computed(precision: Arithmetic, device: torch.device) -> Precision:
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() and _multiplies_bfloat16() else "float32"


def _multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for it; without, oneDNN emulates them, slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())
