"""Weights of a network in one safetensors file, which also says of which network they are; nothing in it is executed.

The file's header holds ``metadata`` as JSON, with the network's architecture, and a SHA-256 of names and numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from volumes.atomic import replacing_file
from volumes.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Metadata: TypeAlias = dict[str, object]
"""What JSON can hold; ``architecture`` is what a network is built from."""

METADATA, SHA = "fusetrack", "sha256"
"""The two entries of the file's header."""

REMEDY = "Give the path of weights that `fusetrack train` wrote, or train them"


def save_weights(
    path: str | Path,
    module: nn.Module | Mapping[str, Tensor],
    metadata: Mapping[str, object],
    dtype: torch.dtype | None = None,
) -> None:
    """Write the weights at once: a killed process leaves the old file or the new one.

    Parameters
    ----------
    path : the file, ``.safetensors``.
    module : the network, or its state by name.
    metadata : what JSON can hold; ``architecture`` is compared when loading.
    dtype : the kind to store floating numbers in, for instance ``torch.bfloat16``; None keeps theirs.

    Raises
    ------
    WeightsError : a number is NaN or infinite in the kind that it is to be stored in.
    OutputError : the folder cannot be written.
    """
    from safetensors.torch import save
    from torch import nn

    state = module.state_dict() if isinstance(module, nn.Module) else module
    stored = {name: _stored(name, tensor, dtype, path) for name, tensor in state.items()}
    header = {METADATA: json.dumps(metadata, sort_keys=True), SHA: _sha256(stored)}
    with replacing_file(Path(path)) as temporary:
        temporary.write_bytes(save(stored, header))  # save_file would leave a file that its owner alone may read


def load_weights(
    path: str | Path, architecture: Mapping[str, object] | None = None
) -> tuple[dict[str, Tensor], Metadata]:
    """The weights by name, on the CPU in the kind that they are stored in, and the metadata beside them.

    Parameters
    ----------
    path : the file.
    architecture : what ``metadata["architecture"]`` must be; None asks nothing.

    Raises
    ------
    WeightsError : no such file; truncated, changed, or not ours; of another architecture.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise WeightsError("is not there", file=path, field="weights", remedy=REMEDY)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        problem = "is truncated, damaged or no safetensors file"
        raise WeightsError(
            problem, file=path, value=str(error), remedy="Copy it anew from where it was made"
        ) from error
    metadata = _metadata(header, path)
    if header.get(SHA) != _sha256(state):
        raise WeightsError("its numbers are not those that were saved", file=path, remedy="Copy it anew")
    if architecture is not None:
        _require_architecture(metadata, architecture, path)
    return state, metadata


def load_into(module: nn.Module, path: str | Path, architecture: Mapping[str, object]) -> Metadata:
    """Give the network the weights of the file, converted to its own kind and device, and return the metadata.

    Raises
    ------
    WeightsError : as :func:`load_weights`; or tensors of other names or shapes than the network's.
    """
    state, metadata = load_weights(path, architecture)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    off = sorted({name for name, _ in wanted.items() ^ found.items()})
    if off:
        problem = f"{len(off)} tensors are missing, too many or of another shape than the network's"
        raise WeightsError(problem, file=path, field=off[0], value=found.get(off[0]), remedy=REMEDY)
    module.load_state_dict(state)
    return metadata


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None, path: str | Path) -> Tensor:
    kept = tensor.detach().to("cpu")
    if kept.is_floating_point():
        kept = kept.to(dtype or kept.dtype)
        if not kept.isfinite().all():
            raise WeightsError(
                "holds NaN or infinite numbers", file=path, field=name, remedy="Keep an older checkpoint"
            )
    return kept.clone().contiguous()


def _sha256(state: Mapping[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _metadata(header: Mapping[str, str], path: Path) -> Metadata:
    try:
        metadata = json.loads(header[METADATA])
    except (KeyError, json.JSONDecodeError) as error:
        raise WeightsError("does not say of which network it is", file=path, field=METADATA, remedy=REMEDY) from error
    if not isinstance(metadata, dict):
        raise WeightsError("is no table of names", file=path, field=METADATA, value=metadata, remedy=REMEDY)
    return metadata


def _require_architecture(metadata: Metadata, architecture: Mapping[str, object], path: Path) -> None:
    wanted = json.loads(json.dumps(dict(architecture)))
    found = metadata.get("architecture")
    if found == wanted:
        return
    other = found if isinstance(found, dict) else {}
    for key in sorted({*wanted, *other}):
        if other.get(key) != wanted.get(key):
            raise WeightsError(
                f"are of another network: {wanted.get(key)!r} is asked for",
                file=path,
                field=f"architecture.{key}",
                value=other.get(key, "nothing"),
                remedy="Configure the network as the weights were trained, or give weights of this one",
            )
