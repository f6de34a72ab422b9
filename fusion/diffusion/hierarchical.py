"""What the sources say of a fused picture: a hierarchical Bayesian model, and expectation–maximisation in it.

Zhao et al. 2023, "DDFM: denoising diffusion model for multi-modality image fusion" (ICCV, arXiv:2303.06840) correct
each estimate x̂₀ of a diffusion prior by one EM step of such a model for two sources. Here for any number, derived anew
and alike in all of them, on pictures whose sources span [−1, 1]:

- a source differs from the fused picture f by noise with a variance of its own at each voxel, s_m | f, v_m ~ N(f, v_m),
  v_m ~ Exp(mean 2b²); marginally s_m | f ~ Laplace(f, b), so that a voxel may be unlike a source at little cost;
- the prior believes f ~ N(x̂₀, r²), and r² shrinks with the noise that is left (Song et al. 2023, ΠGDM);
- the gradient of f is that of the source which is steepest there: ∇f ~ N(g, 1/ψ), Neumann borders, spacings kept.

With u in the place of f under the gradient (half-quadratic splitting, coupling η), what is minimised is

J(f, u) = Σ_m Σ √((f − s_m)² + δ²)/b + ‖f − x̂₀‖²/2r² + η‖f − u‖²/2 + ψ‖∇u − g‖²/2.

E-step: the latent variances enter by ω_m = E[1/v_m | f, s_m] = 1/(b |f − s_m|), since their posterior is a generalised
inverse Gaussian; δ keeps that finite. M-step: by turns u and f. Cosine transforms make (η + ψ ∇ᵀ∇) u = η f + ψ ∇ᵀg
diagonal, and voxel by voxel f = (Σ ω_m s_m + x̂₀/r² + η u)/(Σ ω_m + 1/r² + η). No step raises J, which is convex.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST = 1e-3
"""δ: deviations well below it count as none."""


@dataclass(frozen=True)
class Evidence:
    """The sources and how they are believed.

    Parameters
    ----------
    sources : s_m, (1, sources, z, y, x), of a range of about [−1, 1].
    deviation : b, how far the fused picture typically is from a source.
    gradient : ψ, 1/variance of the gradient about the steepest source's; 0 leaves gradients alone.
    coupling : η, how closely u follows f.
    spacing : of the voxels (z, y, x), in units of the finest.
    """

    sources: Tensor
    deviation: float
    gradient: float
    coupling: float
    spacing: Sequence[float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class State:
    """f and u, (1, 1, z, y, x) each."""

    fused: Tensor
    smooth: Tensor


def rectified(
    clean: Tensor, variance: float, evidence: Evidence, target: Sequence[Tensor], steps: int = 1, sweeps: int = 1
) -> State:
    """EM steps from f = x̂₀.

    Parameters
    ----------
    clean : x̂₀, (1, 1, z, y, x).
    variance : r², above 0.
    evidence : the sources.
    target : g, by :func:`steepest` of the same evidence.
    steps, sweeps : EM steps, and how often u and f take turns in each.
    """
    state = started(clean, evidence, target)
    for _ in range(steps):
        precisions = expected_precisions(state.fused, evidence)
        for _ in range(sweeps):
            state = _turn(state.fused, clean, variance, precisions, evidence, target)
    return state


def started(clean: Tensor, evidence: Evidence, target: Sequence[Tensor]) -> State:
    """f = x̂₀ and the best u for it: where EM begins."""
    return State(clean, _smooth(clean, evidence, target))


def objective(state: State, clean: Tensor, variance: float, evidence: Evidence, target: Sequence[Tensor]) -> Tensor:
    """J(f, u), a number."""
    off = (state.fused - evidence.sources).square() + SMALLEST**2
    data = off.sqrt().sum() / evidence.deviation
    prior = (state.fused - clean).square().sum() / (2 * variance)
    split = evidence.coupling * (state.fused - state.smooth).square().sum() / 2
    steep = sum(
        ((mine - wanted).square().sum() for mine, wanted in zip(_forward(state.smooth, evidence), target, strict=True)),
        start=torch.zeros_like(prior),
    )
    return data + prior + split + evidence.gradient * steep / 2


def expected_precisions(fused: Tensor, evidence: Evidence) -> Tensor:
    """ω_m = E[1/v_m | f, s_m] = 1/(b √((f − s_m)² + δ²)), (1, sources, z, y, x)."""
    return 1 / (evidence.deviation * ((fused - evidence.sources).square() + SMALLEST**2).sqrt())


def steepest(evidence: Evidence) -> list[Tensor]:
    """g along z, y and x, (1, 1, z, y, x) each: the forward differences of the source whose gradient is longest there.

    Where several are equally long, their mean: the order of the sources plays no part.
    """
    parts = _forward(evidence.sources, evidence)
    squares = torch.stack([part.square() for part in parts]).sum(0)
    longest = (squares == squares.amax(1, keepdim=True)).to(squares.dtype)
    return [_over_sources(part * longest) / _over_sources(longest) for part in parts]


def _turn(
    fused: Tensor, clean: Tensor, variance: float, precisions: Tensor, evidence: Evidence, target: Sequence[Tensor]
) -> State:
    smooth = _smooth(fused, evidence, target)
    above = _over_sources(precisions * evidence.sources) + clean / variance + evidence.coupling * smooth
    return State(above / (_over_sources(precisions) + 1 / variance + evidence.coupling), smooth)


def _over_sources(terms: Tensor) -> Tensor:
    """Their sum in the order of size, so that the order of the sources leaves no trace."""
    return terms.sort(dim=1).values.sum(1, keepdim=True)


def _smooth(fused: Tensor, evidence: Evidence, target: Sequence[Tensor]) -> Tensor:
    """argmin_u J: (η + ψ ∇ᵀ∇) u = η f + ψ ∇ᵀ g; the cosine transform's squares of frequencies are those of ∇ᵀ∇."""
    if evidence.gradient == 0:
        return fused
    right = evidence.coupling * fused
    laplacian = torch.zeros_like(fused)
    for axis, (part, length) in enumerate(zip(target, evidence.spacing, strict=True)):
        right = right + evidence.gradient * _adjoint(part, axis + 2) / length
        n = fused.shape[axis + 2]
        frequency = (2 - 2 * torch.cos(torch.arange(n, dtype=torch.float64) * (math.pi / n))) / length**2
        shape = [n if i == axis + 2 else 1 for i in range(5)]
        laplacian = laplacian + frequency.to(fused).reshape(shape)
    for axis in (2, 3, 4):
        right = _transformed(right, axis, inverse=False)
    right = right / (evidence.coupling + evidence.gradient * laplacian)
    for axis in (2, 3, 4):
        right = _transformed(right, axis, inverse=True)
    return right


def _forward(x: Tensor, evidence: Evidence) -> list[Tensor]:
    """Differences to the next voxel along z, y and x, by its distance; 0 at the last."""
    out = []
    for axis, length in zip((2, 3, 4), evidence.spacing, strict=True):
        last = x.narrow(axis, x.shape[axis] - 1, 1)
        out.append(torch.diff(x, dim=axis, append=last) / length)
    return out


def _adjoint(part: Tensor, axis: int) -> Tensor:
    """∇ᵀ along one axis: what :func:`_forward` takes at the last voxel counts as 0."""
    n = part.shape[axis]
    inner = part.narrow(axis, 0, n - 1)
    nothing = torch.zeros_like(part.narrow(axis, 0, 1))
    return torch.cat([nothing, inner], axis) - torch.cat([inner, nothing], axis)


def _transformed(x: Tensor, axis: int, inverse: bool) -> Tensor:
    """The orthonormal cosine transform (DCT-II) along one axis, as a product with its matrix: any length will do."""
    n = x.shape[axis]
    if n == 1:
        return x
    k = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    matrix = matrix.to(x)
    along = x.movedim(axis, -1) @ (matrix if inverse else matrix.T)
    return along.movedim(-1, axis)
