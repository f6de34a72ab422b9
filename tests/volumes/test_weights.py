"""Weights come back as they went, and damaged, missing or foreign ones are refused with the file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from volumes.errors import WeightsError
from volumes.weights import load_into, load_weights, save_weights

ARCHITECTURE = {"kind": "toy", "widths": (4, 8)}


def network(seed: int = 0, hidden: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(1, hidden, 3), nn.BatchNorm3d(hidden), nn.Conv3d(hidden, 1, 1))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "größe.safetensors"
    save_weights(path, network(), {"architecture": ARCHITECTURE, "licence": "Apache-2.0", "steps": 3})
    return path


def test_state_and_metadata_come_back_to_the_bit(saved: Path) -> None:
    state, metadata = load_weights(saved, ARCHITECTURE)
    expected = network().state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert all(state[name].dtype == expected[name].dtype for name in expected)
    assert metadata == {"architecture": {"kind": "toy", "widths": [4, 8]}, "licence": "Apache-2.0", "steps": 3}


def test_another_reader_finds_the_same_numbers(saved: Path) -> None:
    plain = load_file(saved)
    assert all(torch.equal(plain[name], tensor) for name, tensor in network().state_dict().items())
    with safe_open(saved, framework="pt") as file:
        assert json.loads(file.metadata()["fusetrack"])["steps"] == 3


def test_a_network_takes_them_and_computes_the_same(saved: Path) -> None:
    other = network(seed=1)
    load_into(other, saved, ARCHITECTURE)
    x = torch.rand(1, 1, 5, 6, 7)
    assert torch.equal(other.eval()(x), network().eval()(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_the_bytes_hold_the_numbers_to_that_kind(tmp_path: Path, dtype: torch.dtype) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    net = nn.Linear(200, 100)
    save_weights(full, net, {"architecture": ARCHITECTURE})
    save_weights(half, net, {"architecture": ARCHITECTURE}, dtype)
    assert half.stat().st_size < 0.52 * full.stat().st_size
    other = nn.Linear(200, 100)
    load_into(other, half, ARCHITECTURE)
    assert other.weight.dtype == torch.float32
    assert torch.equal(other.weight, net.weight.to(dtype).float())


def test_integers_keep_their_kind_when_floats_are_halved(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, network(), {}, torch.bfloat16)
    state, _ = load_weights(path)
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert state["1.running_mean"].dtype == torch.bfloat16


def test_saving_replaces_at_once_and_leaves_nothing_beside(saved: Path) -> None:
    save_weights(saved, network(seed=5), {"architecture": ARCHITECTURE})
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
    assert torch.equal(load_weights(saved)[0]["0.weight"], network(seed=5).state_dict()["0.weight"])


def test_whoever_may_read_a_file_of_the_folder_may_read_these(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.write_bytes(b"")
    assert saved.stat().st_mode == plain.stat().st_mode


def test_numbers_that_are_not_finite_are_not_saved_and_the_old_file_stays(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(WeightsError, match=r"größe.*b: holds NaN"):
        save_weights(saved, {"a": torch.ones(2), "b": torch.tensor([float("nan")])}, {})
    with pytest.raises(WeightsError, match="holds NaN or infinite"):
        save_weights(saved, {"b": torch.tensor([1e6])}, {}, torch.float16)
    assert saved.read_bytes() == before


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.safetensors.*not there.*fusetrack train"):
        load_weights(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match="not there"):
        load_weights(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -40])
def test_a_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"größe\.safetensors.*truncated"):
        load_weights(saved)


def test_one_flipped_bit_in_the_numbers_is_refused(saved: Path) -> None:
    whole = bytearray(saved.read_bytes())
    whole[-3] ^= 1
    saved.write_bytes(whole)
    load_file(saved)  # safetensors itself sees nothing
    with pytest.raises(WeightsError, match="not those that were saved"):
        load_weights(saved)


def test_a_file_of_another_program_is_refused(saved: Path) -> None:
    save_file(network().state_dict(), saved, {"format": "pt"})
    with pytest.raises(WeightsError, match="does not say of which network"):
        load_weights(saved)
    save_file(network().state_dict(), saved, {"fusetrack": "[1]"})
    with pytest.raises(WeightsError, match="no table of names"):
        load_weights(saved)
    saved.write_bytes(b"\x80\x04 a pickle, not a tensor file")
    with pytest.raises(WeightsError, match="no safetensors file"):
        load_weights(saved)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({**ARCHITECTURE, "widths": (4, 16)}, "widths"),
        ({"kind": "toy"}, "widths"),
        ({**ARCHITECTURE, "kind": "x"}, "kind"),
    ],
)
def test_another_architecture_is_refused_with_the_key_that_differs(saved: Path, asked: dict, key: str) -> None:
    with pytest.raises(WeightsError, match=rf"größe.*architecture\.{key}: are of another network"):
        load_weights(saved, asked)


def test_tensors_of_other_shapes_are_refused_before_any_is_loaded(saved: Path) -> None:
    other = network(hidden=8)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(WeightsError, match="another shape than the network's"):
        load_into(other, saved, ARCHITECTURE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())
