"""bfloat16 training on a CPU, where oneDNN gets some gradients wrong: only where they are known to be right.

Held against float64 with torch 2.13 on a CPU with avx512_bf16, gradients of a 3-D convolution are right to rounding
(0.2 %) wherever its input is nowhere shorter than its kernel. Where it is shorter, weights' gradients come out of
memory that nobody wrote: 1e34, NaN, or wrong without a sign of it. Gains of normalisations, sums over all voxels that
bfloat16 does not hold, are off by tens of percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volumes.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

REMEDY = "Use float32, or device cuda"


def hold_to_right_gradients(model: nn.Module) -> None:
    """Let a network compute in bfloat16 on a CPU; from now on a convolution refuses what it would get wrong.

    Raises
    ------
    ConfigError : a part with weights that is no ordinary 3-D convolution: its gradients are not known to be right.
    """
    from torch import nn

    for name, part in model.named_modules():
        if not any(weight.requires_grad for weight in part.parameters(recurse=False)):
            continue
        if type(part) is not nn.Conv3d or part.groups != 1 or set(part.dilation) != {1}:
            problem = f"on a CPU bfloat16 gradients of {type(part).__name__} ({name or 'the network'}) are not right"
            raise ConfigError(problem, field="loop.precision", value="bf16", remedy=REMEDY)
        part.register_forward_pre_hook(_refuse_short)


def _refuse_short(part: nn.Conv3d, given: tuple[Tensor, ...]) -> None:
    """Stand before a convolution in training.

    Raises
    ------
    ConfigError : the input is shorter than the kernel along an axis.
    """
    shape, kernel = tuple(given[0].shape[2:]), tuple(part.kernel_size)
    if part.training and any(n < k for n, k in zip(shape, kernel, strict=True)):
        problem = f"on a CPU bfloat16 gradients are wrong for {shape} voxels under a kernel of {kernel}"
        raise ConfigError(problem, field="loop.precision", value="bf16", remedy=f"{REMEDY}, or larger pieces")
