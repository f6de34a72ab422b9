"""The mean of several trainings' weights as one set of weights, which is what a network of this project ships with.

Weights w₁ … wₙ of one network, of trainings that go on from one another or from a common start, are averaged tensor by
tensor, w = Σ sᵢ wᵢ with Σ sᵢ = 1: often better than each, at no cost when used (Wortsman et al. 2022, "Model soups").
Of trainings that began apart, the mean is of no use.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from volumes.errors import ConfigError, OutputError, WeightsError
from volumes.weights import Metadata, load_weights, save_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Store: TypeAlias = Literal["float32", "bfloat16", "float16"]
OF_ONE_NETWORK = "Average only weights of trainings of one network"
ARCHITECTURE, MEAN_OF = "architecture", "mean_of"
"""Entries of the metadata: what the network is built from, and what a mean was made of."""


@dataclass(frozen=True)
class Part:
    """One of the weights that a mean is made of.

    Parameters
    ----------
    file : its name, without the folder.
    sha256 : of the whole file, as ``model.json`` of its training has it.
    share : in the mean; those of all parts sum to 1.
    """

    file: str
    sha256: str
    share: float


def mean_weights(
    files: Sequence[Path], shares: Sequence[float], out: Path, store: Store | None = None
) -> tuple[Part, ...]:
    """Write the mean of weights of one architecture, and give what it was made of.

    Sums are of 64-bit floats, rounded once to what is stored. The file's metadata keep what is equal in all, and under
    ``mean_of`` each part with its share, SHA-256 and own metadata.

    Parameters
    ----------
    files : two or more, as ``fusetrack train`` wrote them.
    shares : one for each, above 0, divided by their sum; empty for equal ones.
    out : a new ``.safetensors`` file, written at once.
    store : the kind of number in the file; None: that of the parts, or the least that holds them all.

    Raises
    ------
    ConfigError : fewer than two files; shares that are not one for each, finite and above 0.
    OutputError : ``out`` is there already, or cannot be written.
    WeightsError : a part is missing, damaged or without an architecture; parts are of different networks.
    """
    import torch

    normalised = _shares(len(files), shares)
    if out.exists() or out.is_symlink():
        remedy = "Give another name: weights are not overwritten"
        raise OutputError("is there already", file=out, field="--out", remedy=remedy)
    first, architecture = _first(files[0])
    sums = {name: torch.zeros_like(tensor, dtype=_summed(tensor)) for name, tensor in first.items()}
    kinds = {name: tensor.dtype for name, tensor in first.items()}
    parts: list[Part] = []
    told: list[Metadata] = []
    for file, share in zip(files, normalised, strict=True):
        state, metadata = load_weights(file, architecture)
        _require_same_tensors(file, state, first)
        for name, tensor in state.items():
            _add(sums[name], tensor, share)
            kinds[name] = torch.promote_types(kinds[name], tensor.dtype)
        parts.append(Part(file.name, hashlib.sha256(file.read_bytes()).hexdigest(), share))
        told.append(metadata)
    asked = getattr(torch, store) if store else None
    stored = {
        name: total.to(asked if asked and total.is_floating_point() else kinds[name]) for name, total in sums.items()
    }
    save_weights(out, stored, _metadata(parts, told))
    return tuple(parts)


def _shares(count: int, shares: Sequence[float]) -> tuple[float, ...]:
    """One for each of the files, summing to 1."""
    if count < 2:
        raise ConfigError("needs two or more weights", field="WEIGHTS", value=count)
    if not shares:
        return (1 / count,) * count
    if len(shares) != count:
        problem = f"needs one share for each of the {count} weights"
        raise ConfigError(problem, field="--shares", value=len(shares), remedy="Leave them out for equal shares")
    for share in shares:
        if not (math.isfinite(share) and share > 0):
            raise ConfigError("must be a number above 0", field="--shares", value=share, remedy="Leave that file out")
    total = math.fsum(shares)
    return tuple(share / total for share in shares)


def _first(file: Path) -> tuple[dict[str, Tensor], Mapping[str, object]]:
    """The weights that the others are compared to, and the architecture that they must be of."""
    state, metadata = load_weights(file)
    about = metadata.get(ARCHITECTURE)
    if not isinstance(about, dict):
        problem, remedy = "does not say of which network it is", "Give weights.safetensors of a training, no checkpoint"
        raise WeightsError(problem, file=file, field=ARCHITECTURE, value=about, remedy=remedy)
    return state, about


def _require_same_tensors(file: Path, state: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> None:
    """The same names and shapes; numbers that are no floats, as counts of batches are, equal."""
    import torch

    for name in sorted({*state, *first}):
        one, other = (tuple(each[name].shape) if name in each else None for each in (state, first))
        if one != other:
            problem = f"is of another shape than in the first of the weights, {other}"
            raise WeightsError(problem, file=file, field=name, value=one or "nothing", remedy=OF_ONE_NETWORK)
        floats = state[name].is_floating_point(), first[name].is_floating_point()
        if floats == (True, True) or (floats == (False, False) and torch.equal(state[name], first[name])):
            continue
        problem = "is no floating number and differs between the weights, so it has no mean"
        remedy = "Statistics that a network counted have to be counted anew, not averaged"
        raise WeightsError(problem, file=file, field=name, remedy=remedy)


def _summed(tensor: Tensor) -> torch.dtype:
    """The kind of number that its mean is computed in."""
    import torch

    return torch.float64 if tensor.is_floating_point() else tensor.dtype


def _add(total: Tensor, tensor: Tensor, share: float) -> None:
    """Add share · tensor, in place; numbers that are no floats are equal in all, and stay."""
    if tensor.is_floating_point():
        total.add_(tensor.to(total.dtype), alpha=share)
    else:
        total.copy_(tensor)


def _metadata(parts: Sequence[Part], told: Sequence[Metadata]) -> Metadata:
    """What all say alike, and what each says for itself."""
    kept = {key: value for key, value in told[0].items() if all(key in one and one[key] == value for one in told)}
    kept.pop(MEAN_OF, None)
    each = [
        {**vars(part), "metadata": {key: value for key, value in one.items() if key != ARCHITECTURE}}
        for part, one in zip(parts, told, strict=True)
    ]
    return {**kept, MEAN_OF: each}
