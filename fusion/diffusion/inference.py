"""The trained network over a whole volume, block by block, and guidance after it, with maps of what came from where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fusion.diffusion.architecture import NetworkConfig, architecture_of
from fusion.diffusion.bands import Plan, expand, laplacian, plan_of, prefused
from fusion.diffusion.blocks import Block, blocks, joined
from fusion.diffusion.bridge import Estimate, walk
from fusion.diffusion.network import FusionNetwork, Inputs, Prediction
from fusion.gaps import barred
from volumes.device import DeviceName, computing_in, require_device
from volumes.shapes import ChannelVoxels, Mask, Triple
from volumes.weights import load_into

if TYPE_CHECKING:
    from fusion.diffusion.dmf_lp import DMFLPConfig

WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED = {"show": WEIGHTS / "dmf_lp.safetensors", "recover": WEIGHTS / "dmf_lp_recover.safetensors"}
"""The weights that come with the package, by what they are for."""

HALO = 16
"""Voxels by which a block sees beyond what it gives."""

FAINT = 1e-6
"""Share of the scale that counts as seen even where all is flat, so that provenance is defined there."""


def maps_of(
    config: DMFLPConfig,
    sources: ChannelVoxels,
    masks: Sequence[Mask] | None,
    modalities: Sequence[int],
    spacing_um: Triple,
    keep: bool,
) -> ChannelVoxels:
    """The fused voxels; with ``keep`` each source's share, what was invented, and with samples their deviation.

    Parameters
    ----------
    config : how the fuser is run.
    sources : (sources, z, y, x) float32, about 0 to 1, filled where they have no data.
    masks : where each has data; None for everywhere.
    modalities : numbers of the embedding.
    spacing_um : (z, y, x).
    keep : whether more than the fused voxels is asked for.

    Returns
    -------
    (1, z, y, x), or (1 + sources + 1 or 2, z, y, x), float32.
    """
    network = _network(config.weights or SHIPPED[config.goal], config.network, config.device)
    shape = (sources.shape[1], sources.shape[2], sources.shape[3])
    number = 1 + (len(sources) + 1 + (config.samples > 1)) * keep

    def parts() -> Iterator[tuple[Block, ChannelVoxels]]:
        for block in blocks(shape, config.block, HALO, 2**config.network.halvings):
            z, y, x = block.place
            own = None if masks is None else [mask[z, y, x] for mask in masks]
            inputs = _inputs(config, sources[:, z, y, x], own, modalities, spacing_um)
            yield block, _block(config, network, inputs, keep, [config.seed, z.start, y.start, x.start])

    maps = joined((number, *shape), parts())
    steps = config.guidance.steps_of(shape[0], config.goal == "show")
    if steps:
        from fusion.guidance.ascent import ascended

        walked = maps[0].copy()
        maps[0] = ascended(walked, sources, config.guidance, steps)
        if keep:
            maps[len(sources) + 1] += maps[0] - walked
    if keep:
        np.abs(maps[len(sources) + 1], out=maps[len(sources) + 1])
    return maps


def _inputs(
    config: DMFLPConfig,
    sources: ChannelVoxels,
    masks: Sequence[Mask] | None,
    modalities: Sequence[int],
    spacing_um: Triple,
) -> Inputs:
    stacked = torch.from_numpy(np.ascontiguousarray(sources))[None].to(config.device)
    plan = plan_of(stacked.shape[2:], spacing_um, config.network.halvings)
    known = torch.tensor([list(modalities)], device=config.device)
    if masks is None or all(mask.all() for mask in masks):
        return Inputs(stacked, plan, known)
    shut = [torch.from_numpy(level)[None].to(config.device) for level in barred(masks, spacing_um, len(plan))]
    # The base of filled sources is weighted by what filled them, so none is barred there.
    base = torch.zeros(_base_shape(stacked, plan), dtype=torch.bool, device=config.device)
    return Inputs(stacked, plan, known, [*shut, base])


def _block(
    config: DMFLPConfig, network: FusionNetwork, inputs: Inputs, keep: bool, seed: Sequence[int]
) -> ChannelVoxels:
    kept: list[Prediction] = []

    def estimate(state: Tensor, time: float) -> Tensor:
        kept[:] = [network(inputs, state, torch.full((1,), time, device=state.device))]
        return kept[0].fused

    with torch.inference_mode(), computing_in(config.precision, torch.device(config.device)):
        start = prefused(inputs.sources, inputs.plan, inputs.barred)
        if config.samples > 1:
            drawn = torch.cat([_sample(config, estimate, start, seed, k) for k in range(config.samples)])
            fused, deviation = drawn.mean(0), drawn.std(0)
        else:
            fused, deviation = walk(estimate, start, config.steps)[0], None
        out = [fused]
        if keep:
            out += [_provenance(inputs, kept[0])[0], kept[0].invented[0]]
            out += [] if deviation is None else [deviation]
        return np.asarray(torch.cat(out).float().cpu().numpy())


def _sample(config: DMFLPConfig, estimate: Estimate, start: Tensor, seed: Sequence[int], number: int) -> Tensor:
    words = np.random.SeedSequence([*seed, number]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))
    return walk(estimate, start, config.steps, config.sigma, generator)


def _provenance(inputs: Inputs, prediction: Prediction) -> Tensor:
    """Each source's share of what is seen at a voxel: its weights, each band counting by how much is in it."""
    bands = laplacian(inputs.sources, inputs.plan)
    total: Tensor | None = None
    for i in reversed(range(len(bands))):
        seen = prediction.weights[i] * (bands[i].abs().amax(1, keepdim=True) + FAINT)
        total = seen if total is None else seen + expand(total, seen.shape[2:], inputs.plan[i])
    assert total is not None  # noqa: S101 - a pyramid has a base
    share = total / total.sum(1, keepdim=True)
    return prediction.gate * share + (1 - prediction.gate) * prediction.own


def _base_shape(stacked: Tensor, plan: Plan) -> list[int]:
    shape = list(stacked.shape)
    for axes in plan:
        for axis in axes:
            shape[axis + 2] = (shape[axis + 2] + 1) // 2
    return shape


def _network(path: Path, network: NetworkConfig, device: DeviceName) -> FusionNetwork:
    return _loaded(path, path.stat().st_mtime_ns if path.is_file() else 0, network, device)


@lru_cache(maxsize=4)
def _loaded(path: Path, stamp: int, network: NetworkConfig, device: DeviceName) -> FusionNetwork:
    """Read once for each version of the file: the frames of a movie share a network."""
    del stamp
    loaded = FusionNetwork(network)
    load_into(loaded, path, architecture_of(network))
    return loaded.eval().requires_grad_(False).to(require_device(device))
