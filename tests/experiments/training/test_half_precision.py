"""bfloat16 on a CPU: gradients against float64 wherever they are allowed, and refused wherever they may be wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.half_precision import hold_to_right_gradients
from tracking3d.segment.network.architecture import UNetConfig
from tracking3d.segment.network.build import build_network
from volumes.errors import ConfigError

ROUNDING = 0.02


def off(found: Tensor, true: Tensor) -> float:
    return float((found.double() - true).norm() / true.norm())


@pytest.mark.parametrize("kernel", [1, 3])
def test_gradients_of_allowed_convolutions_are_those_of_float64(kernel: int) -> None:
    """Shapes, strides and memory layouts at random; the input is nowhere shorter than the kernel."""
    draw = np.random.default_rng(kernel)
    for case in range(60):
        torch.manual_seed(case)
        inputs, outputs = (int(draw.choice([1, 3, 5, 8, 16, 32])) for _ in range(2))
        shape, batch, stride = draw.integers(kernel, 13, 3).tolist(), int(draw.integers(1, 4)), int(draw.integers(1, 3))
        x = torch.randn(batch, inputs, *shape).bfloat16()
        weight = (torch.randn(outputs, inputs, kernel, kernel, kernel) / (inputs * kernel**3) ** 0.5).bfloat16()
        if draw.random() < 0.5:
            x = x.to(memory_format=torch.channels_last_3d)
        made = []
        for dtype in (torch.float64, torch.bfloat16):
            a, b = x.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
            y = functional.conv3d(a, b, None, stride, kernel // 2)
            torch.manual_seed(case)
            y.backward(torch.randn(y.shape).bfloat16().to(dtype))
            made.append((y.detach(), a.grad, b.grad))
        for true, found in zip(*made, strict=True):
            assert off(found, true) < ROUNDING, (case, inputs, outputs, shape, batch, stride)


def test_the_segmenter_s_gradients_are_those_of_float32() -> None:
    torch.manual_seed(0)
    network = build_network(UNetConfig(widths=(16, 32)))
    hold_to_right_gradients(network)
    x, wanted = torch.randn(2, 1, 24, 32, 32), torch.randn(2, 6, 24, 32, 32)
    gradients = []
    for half in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = network(x)
        (out.float() - wanted).square().mean().backward()
        gradients.append({name: weight.grad.clone() for name, weight in network.named_parameters()})
    for name, true in gradients[0].items():
        assert off(gradients[1][name], true.double()) < 0.05, name


def test_an_input_shorter_than_its_kernel_is_refused_in_training_only() -> None:
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.SiLU(), nn.Conv3d(4, 1, 3, stride=2, padding=1))
    hold_to_right_gradients(network)
    assert network(torch.zeros(1, 1, 3, 8, 8)).shape == (1, 1, 2, 4, 4)
    with pytest.raises(ConfigError, match=r"\(2, 8, 8\) voxels"):
        network(torch.zeros(1, 1, 2, 8, 8))
    network.eval()
    network(torch.zeros(1, 1, 2, 8, 8))


@pytest.mark.parametrize(
    "part",
    [
        nn.LayerNorm(4),
        nn.InstanceNorm3d(4, affine=True),
        nn.ConvTranspose3d(4, 4, 2),
        nn.Conv3d(4, 4, 3, groups=4),
        nn.Linear(4, 4),
    ],
)
def test_parts_that_nobody_has_checked_are_refused(part: nn.Module) -> None:
    network = nn.Sequential(nn.Conv3d(1, 4, 3), part)
    with pytest.raises(ConfigError, match=type(part).__name__):
        hold_to_right_gradients(network)
    part.requires_grad_(False)
    hold_to_right_gradients(network)  # what is not trained needs no gradient
