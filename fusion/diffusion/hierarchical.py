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
class Target:
    """What the gradient should be, and what of the u-step never changes.

    Parameters
    ----------
    gradients : g along z, y and x, (1, 1, z, y, x) each.
    pull : the cosine transform of ψ ∇ᵀg.
    stiffness : ψ ∇ᵀ∇ where that transform makes it diagonal.
    """

    gradients: list[Tensor]
    pull: Tensor
    stiffness: Tensor


@dataclass(frozen=True)
class State:
    """f and u, (1, 1, z, y, x) each."""

    fused: Tensor
    smooth: Tensor


def rectified(
    clean: Tensor, variance: float, evidence: Evidence, target: Target, steps: int = 1, sweeps: int = 1
) -> State:
    """EM steps from f = x̂₀.

    Parameters
    ----------
    clean : x̂₀, (1, 1, z, y, x).
    variance : r², above 0.
    evidence : the sources.
    target : by :func:`steepest` of the same evidence.
    steps, sweeps : EM steps, and how often u and f take turns in each.
    """
    state = started(clean, evidence, target)
    for _ in range(steps):
        precisions = expected_precisions(state.fused, evidence)
        for _ in range(sweeps):
            state = _turn(state.fused, clean, variance, precisions, evidence, target)
    return state


def started(clean: Tensor, evidence: Evidence, target: Target) -> State:
    """f = x̂₀ and the best u for it: where EM begins."""
    return State(clean, _smooth(clean, evidence, target))


def objective(state: State, clean: Tensor, variance: float, evidence: Evidence, target: Target) -> Tensor:
    """J(f, u), a number."""
    off = (state.fused - evidence.sources).square() + SMALLEST**2
    data = off.sqrt().sum() / evidence.deviation
    prior = (state.fused - clean).square().sum() / (2 * variance)
    split = evidence.coupling * (state.fused - state.smooth).square().sum() / 2
    pairs = zip(_forward(state.smooth, evidence), target.gradients, strict=True)
    steep = torch.stack([(mine - wanted).square().sum() for mine, wanted in pairs]).sum()
    return data + prior + split + evidence.gradient * steep / 2


def expected_precisions(fused: Tensor, evidence: Evidence) -> Tensor:
    """ω_m = E[1/v_m | f, s_m] = 1/(b √((f − s_m)² + δ²)), (1, sources, z, y, x)."""
    return 1 / (evidence.deviation * ((fused - evidence.sources).square() + SMALLEST**2).sqrt())


def steepest(evidence: Evidence) -> Target:
    """g: at each voxel the forward differences of the source whose gradient is longest there.

    Where several are equally long, their mean: the order of the sources plays no part.
    """
    parts = _forward(evidence.sources, evidence)
    squares = torch.stack([part.square() for part in parts]).sum(0)
    longest = (squares == squares.amax(1, keepdim=True)).to(squares.dtype)
    gradients = [_over_sources(part * longest) / _over_sources(longest) for part in parts]
    pull, stiffness = torch.zeros_like(gradients[0]), torch.zeros_like(gradients[0])
    for axis, part, length in zip((2, 3, 4), gradients, evidence.spacing, strict=True):
        pull = pull + evidence.gradient * _adjoint(part, axis) / length
        n = part.shape[axis]
        squared = (2 - 2 * torch.cos(torch.arange(n, dtype=torch.float64) * (math.pi / n))) / length**2
        stiffness = stiffness + evidence.gradient * squared.to(part).reshape([n if i == axis else 1 for i in range(5)])
    return Target(gradients, _cosines(pull), stiffness)


def _turn(
    fused: Tensor, clean: Tensor, variance: float, precisions: Tensor, evidence: Evidence, target: Target
) -> State:
    smooth = _smooth(fused, evidence, target)
    above = _over_sources(precisions * evidence.sources) + clean / variance + evidence.coupling * smooth
    return State(above / (_over_sources(precisions) + 1 / variance + evidence.coupling), smooth)


def _over_sources(terms: Tensor) -> Tensor:
    """Their sum in the order of size, so that the order of the sources leaves no trace."""
    return terms.sort(dim=1).values.sum(1, keepdim=True)


def _smooth(fused: Tensor, evidence: Evidence, target: Target) -> Tensor:
    """argmin_u J: (η + ψ ∇ᵀ∇) u = η f + ψ ∇ᵀ g."""
    if evidence.gradient == 0:
        return fused
    right = evidence.coupling * _cosines(fused) + target.pull
    return _cosines(right / (evidence.coupling + target.stiffness), inverse=True)


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


def _cosines(x: Tensor, inverse: bool = False) -> Tensor:
    """The orthonormal cosine transform (DCT-II) along z, y and x, or its inverse, as products: any length will do."""
    for axis in (2, 3, 4):
        if x.shape[axis] > 1:
            matrix = _cosine_matrix(x.shape[axis]).to(x)
            x = (x.movedim(axis, -1) @ (matrix if inverse else matrix.T)).movedim(-1, axis)
    return x


def _cosine_matrix(n: int) -> Tensor:
    k = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix
