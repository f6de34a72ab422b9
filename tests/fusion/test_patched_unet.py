"""One network serves a slice and a volume of any size."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from fusion.diffusion.patched_unet import PatchedUNet
from fusion.diffusion.unet_sizes import UNetSizes

TINY = UNetSizes(widths=(4, 8), patch=2, groups=2)


@pytest.fixture(scope="module")
def net() -> PatchedUNet:
    torch.manual_seed(0)
    made = TINY.network(3)
    for parameter in made.parameters():  # MONAI starts its last layer at zero
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


def answer(net: PatchedUNet, x: Tensor, time: int = 7) -> Tensor:
    with torch.no_grad():
        return net(x, torch.full((x.shape[0],), time))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 13), (2, 8, 8), (3, 5, 17), (8, 8, 12)])
def test_any_size_comes_back_as_it_came(net: PatchedUNet, shape) -> None:
    out = answer(net, torch.rand(2, 3, *shape))
    assert out.shape == (2, 1, *shape)
    assert out.isfinite().all()
    assert out.abs().max() > 0


def test_a_slice_is_answered_as_the_volume_that_repeats_it(net: PatchedUNet) -> None:
    plane = torch.rand(1, 3, 1, 12, 16)
    torch.testing.assert_close(answer(net, plane), answer(net, plane.expand(-1, -1, 2, -1, -1))[:, :, :1])


def test_what_does_not_divide_is_answered_as_if_its_outermost_voxels_went_on(net: PatchedUNet) -> None:
    x = torch.rand(1, 3, 3, 6, 7)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 2, 0, 1), mode="replicate")
    torch.testing.assert_close(answer(net, x), answer(net, padded)[:, :, :3, :6, :7])


def test_samples_of_a_batch_do_not_see_each_other_but_their_time(net: PatchedUNet) -> None:
    x = torch.rand(2, 3, 2, 8, 8)
    with torch.no_grad():
        both = net(x, torch.tensor([7, 700]))
    torch.testing.assert_close(both[:1], answer(net, x[:1], 7))
    torch.testing.assert_close(both[1:], answer(net, x[1:], 700))
    assert (answer(net, x[1:], 7) - both[1:]).abs().max() > 1e-4


def test_z_is_seen_not_only_slice_by_slice(net: PatchedUNet) -> None:
    x = torch.rand(1, 3, 8, 8, 8)
    other = x.clone()
    other[:, :, 5] += 1
    assert (answer(net, x) - answer(net, other))[:, :, 3].abs().max() > 1e-4


def test_every_parameter_learns(net: PatchedUNet) -> None:
    net(torch.rand(1, 3, 2, 8, 8), torch.tensor([3])).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("widths", [(), (0,), (4, 7)])
def test_widths_must_be_multiples_of_the_groups(widths) -> None:
    with pytest.raises(ValidationError, match="widths"):
        UNetSizes(widths=widths, groups=4)
