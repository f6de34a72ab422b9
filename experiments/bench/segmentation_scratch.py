"""What the fine-tuned segmenter is held against: a small U-Net of MONAI, trained on the labelled crops alone.

Foreground and distance, as in the network of the package, augmented alike and read by the same decoder, on the same
grid: only what it knew beforehand is missing, and that it stops after so many CPU seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.tasks.cell_labelled import Labelled, LabelledConfig, median_diameter_um
from experiments.tasks.cell_pieces import filled, shown
from tracking3d.segment.network.decode import decode
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND, HEADS, WEIGHT
from tracking3d.segment.network.normalise import levels, normalised
from tracking3d.segment.network.resampling import coarse_shape, resampled
from volumes.io import read
from volumes.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor, nn

CROP, BATCH, RATE = 48, 2, 1e-3
COARSEST = 8
"""The sides of what it sees are multiples of this."""


def trained(crops: Sequence[tuple[Path, Path]], seconds: float, seed: int = 0) -> nn.Module:
    """A U-Net of 600 thousand parameters after so many CPU seconds on images and their labels."""
    import torch
    from monai.networks.nets.unet import UNet

    torch.manual_seed(seed)
    net = UNet(3, 1, 2, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=1)
    labelled = [Labelled.of(LabelledConfig(image=image, labels=labels)) for image, labels in crops]
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    rng, begun = np.random.default_rng(seed), time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * spent / seconds))
        chosen = [labelled[int(rng.integers(len(labelled)))] for _ in range(BATCH)]
        shape = (CROP,) * 3
        pairs = [shown(filled(one.piece(CROP, rng), shape), shape, False, rng) for one in chosen]
        image = torch.from_numpy(np.stack([pair[0] for pair in pairs])[:, None])
        optimiser.zero_grad()
        _loss(net(image), torch.from_numpy(np.stack([pair[1] for pair in pairs]))).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return net.eval()


def _loss(outputs: Tensor, wanted: Tensor) -> Tensor:
    from torch.nn import functional

    known = wanted[:, WEIGHT]
    entropy = functional.binary_cross_entropy_with_logits(outputs[:, 0], wanted[:, FOREGROUND], reduction="none")
    error = functional.smooth_l1_loss(outputs[:, 1], wanted[:, DISTANCE], reduction="none", beta=0.1)
    return ((entropy + 3 * error) * known).sum() / known.sum().clamp_min(1)


def found(net: nn.Module, image: Volume, labels: Sequence[Path]) -> Volume:
    """Its cells in a volume; how large a cell is there it takes from what it was trained on."""
    import torch

    across = float(np.median([_across(path) for path in labels]))
    spacing = image.grid.spacing_um
    factors = (across / DIAMETER / spacing[0], across / DIAMETER / spacing[1], across / DIAMETER / spacing[2])
    full = image.grid.shape
    shape = coarse_shape(full, factors)
    coarse = resampled(image.channel(), [(0, n) for n in full], [(0, n) for n in shape], factors)
    scaled = normalised(coarse, levels(coarse))
    padded = np.pad(scaled, [(0, -n % COARSEST) for n in shape])
    with torch.no_grad():
        said = net(torch.from_numpy(padded)[None, None])[0].numpy()[:, : shape[0], : shape[1], : shape[2]]
    outputs = np.zeros((HEADS, *shape), np.float32)
    outputs[FOREGROUND], outputs[DISTANCE] = said
    at = [
        np.clip(((np.arange(n) + 0.5) / f).astype(int), 0, m - 1) for n, f, m in zip(full, factors, shape, strict=True)
    ]
    # How certain a network must be is set for the package's own; here every cell counts.
    cells = decode(outputs, DecoderConfig(confidence=0.0))[0]
    return image.with_data(cells[np.ix_(*at)].astype(np.uint16)[None])


def _across(path: Path) -> float:
    labels = read(path, modality="labels")
    return median_diameter_um(labels.channel(), labels.grid.spacing_um)
