"""The mean of weights: what it is to the bit, what it says of itself, and what has no mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.mean_weights import mean_weights
from volumes.errors import ConfigError, OutputError, WeightsError
from volumes.weights import load_weights, save_weights

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
ARCHITECTURE = {"kind": "toy", "widths": [4, 8]}
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Written = Callable[..., Path]


def numbers(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {"deep.weight": torch.randn(4, 3, 2, generator=draw), "deep.bias": torch.randn(4, generator=draw)}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(name: str, state: dict, dtype: torch.dtype | None = None, **metadata: object) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, state, {"architecture": ARCHITECTURE, **metadata}, dtype)
        return path

    return write


@pytest.fixture
def three(written: Written) -> list[Path]:
    return [written(f"w{seed}", numbers(seed), step=10 * seed, format="1") for seed in range(3)]


@pytest.mark.parametrize(("shares", "meant"), [((), (1, 1, 1)), ((0.2, 0.3, 0.5), (2, 3, 5)), ((4, 8, 12), (1, 2, 3))])
def test_a_mean_is_the_sum_of_shares(three: list[Path], tmp_path: Path, shares: Sequence[float], meant: tuple) -> None:
    parts = mean_weights(three, shares, tmp_path / "mean.safetensors")
    assert [part.share for part in parts] == pytest.approx([one / sum(meant) for one in meant])
    found, _ = load_weights(tmp_path / "mean.safetensors", ARCHITECTURE)
    for name, tensor in found.items():
        each = [numbers(seed)[name].double() * meant[seed] for seed in range(3)]
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, (sum(each) / sum(meant)).float())


@settings(max_examples=30, deadline=None)
@given(
    shares=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=5),
    kind=st.sampled_from([*KINDS]),
    seed=st.integers(0, 99),
)
def test_the_mean_of_equal_weights_is_these(
    shares: list[float], kind: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    one = folder / "one.safetensors"
    save_weights(one, numbers(seed), {"architecture": ARCHITECTURE}, KINDS[kind])
    mean_weights([one] * len(shares), shares, folder / "mean.safetensors")
    before, after = load_weights(one)[0], load_weights(folder / "mean.safetensors")[0]
    assert all(after[name].dtype == KINDS[kind] and torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_sixteen_bits_are_rounded_once_at_the_end(written: Written, tmp_path: Path, kind: str) -> None:
    # .1 and .6 of the last bit beyond 1, as float32: their mean is nearer to 1; that of what they round to is not.
    bit = torch.finfo(KINDS[kind]).eps
    low, high = (written(name, {"a": torch.tensor([1 + part * bit])}) for name, part in (("low", 0.1), ("high", 0.6)))
    mean_weights([low, high], (0.45, 0.55), tmp_path / "mean.safetensors", kind)
    found = load_weights(tmp_path / "mean.safetensors")[0]["a"]
    assert found.dtype == KINDS[kind]
    assert found.item() == 1.0
    rounded = [torch.tensor(1 + part * bit).to(KINDS[kind]).double() for part in (0.1, 0.6)]
    assert (0.45 * rounded[0] + 0.55 * rounded[1]).to(KINDS[kind]).item() == 1 + bit


def test_sums_of_sixteen_bits_do_not_lose_what_is_small(written: Written, tmp_path: Path) -> None:
    files = [written(f"w{i}", {"a": torch.tensor([1.0 if i else 1.0 + 2**-7])}, torch.bfloat16) for i in range(2)]
    mean_weights(files, (), tmp_path / "mean.safetensors", "float32")
    assert load_weights(tmp_path / "mean.safetensors")[0]["a"].item() == 1 + 2**-8


def test_different_kinds_of_number_give_the_least_that_holds_all(written: Written, tmp_path: Path) -> None:
    halves = [written(name, numbers(0), KINDS[name]) for name in ("bfloat16", "float16")]
    mean_weights(halves, (), tmp_path / "mean.safetensors")
    assert {tensor.dtype for tensor in load_weights(tmp_path / "mean.safetensors")[0].values()} == {torch.float32}


def test_it_says_what_it_is_a_mean_of(three: list[Path], tmp_path: Path) -> None:
    mean = tmp_path / "mean.safetensors"
    mean_weights(three[:2], (1, 3), mean)
    _, metadata = load_weights(mean)
    assert metadata == {
        "architecture": ARCHITECTURE,
        "format": "1",
        "mean_of": [
            {
                "file": file.name,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "share": share,
                "metadata": {"step": step, "format": "1"},
            }
            for file, share, step in ((three[0], 0.25, 0), (three[1], 0.75, 10))
        ],
    }
    mean_weights([mean, three[2]], (), tmp_path / "again.safetensors")
    _, metadata = load_weights(tmp_path / "again.safetensors")
    assert metadata["mean_of"][0]["metadata"]["mean_of"][1]["share"] == 0.75
    assert "step" not in metadata


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ((1.0,), "one share for each of the 3"),
        ((0.5, 0.5, 0.0), "above 0 .found 0"),
        ((0.6, 0.6, -0.2), "above 0 .found -0.2"),
        ((1.0, 1.0, float("nan")), "above 0"),
        ((1.0, 1.0, float("inf")), "above 0"),
    ],
)
def test_shares_that_make_no_mean_are_refused(three: list[Path], tmp_path: Path, shares: tuple, says: str) -> None:
    with pytest.raises(ConfigError, match=f"--shares: .*{says}"):
        mean_weights(three, shares, tmp_path / "mean.safetensors")
    with pytest.raises(ConfigError, match="two or more"):
        mean_weights(three[:1], (), tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_what_is_there_stays(three: list[Path]) -> None:
    before = three[2].read_bytes()
    with pytest.raises(OutputError, match=r"w2\.safetensors.*there already"):
        mean_weights(three[:2], (), three[2])
    assert three[2].read_bytes() == before


def test_only_weights_of_one_network_have_a_mean(three: list[Path], written: Written, tmp_path: Path) -> None:
    out = tmp_path / "mean.safetensors"
    wider = written("wider", numbers(0))
    save_weights(wider, numbers(0), {"architecture": {**ARCHITECTURE, "widths": [4, 16]}})
    with pytest.raises(WeightsError, match=r"wider.*architecture\.widths: are of another network"):
        mean_weights([three[0], wider], (), out)
    fewer = written("fewer", {"deep.weight": numbers(0)["deep.weight"]})
    for files in ([three[0], fewer], [fewer, three[0]]):
        with pytest.raises(WeightsError, match=r"deep\.bias: is of another shape"):
            mean_weights(files, (), out)
    longer = written("longer", {**numbers(0), "deep.bias": torch.ones(5)})
    with pytest.raises(WeightsError, match=r"longer.*deep\.bias: is of another shape.*\(4,\)"):
        mean_weights([three[0], longer], (), out)
    with pytest.raises(WeightsError, match="not there"):
        mean_weights([three[0], tmp_path / "absent.safetensors"], (), out)
    assert not out.exists()


def test_a_checkpoint_says_of_no_network(three: list[Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "step-4.safetensors"
    save_weights(checkpoint, numbers(0), {"checkpoint": "1"})
    with pytest.raises(WeightsError, match=r"step-4.*does not say of which network.*no checkpoint"):
        mean_weights([checkpoint, three[0]], (), tmp_path / "mean.safetensors")
    with pytest.raises(WeightsError, match=r"step-4.*are of another network"):
        mean_weights([three[0], checkpoint], (), tmp_path / "mean.safetensors")


def test_counts_have_no_mean_unless_they_agree(written: Written, tmp_path: Path) -> None:
    two, again, other = (
        written(name, {**numbers(seed), "seen": torch.tensor(count)})
        for name, seed, count in (("a", 0, 2), ("b", 1, 2), ("c", 2, 3))
    )
    mean_weights([two, again], (), tmp_path / "mean.safetensors", "bfloat16")
    found = load_weights(tmp_path / "mean.safetensors")[0]
    assert (found["seen"].dtype, found["seen"].item(), found["deep.bias"].dtype) == (torch.int64, 2, torch.bfloat16)
    with pytest.raises(WeightsError, match=r"c\.safetensors: seen: is no floating number and differs"):
        mean_weights([two, other], (), tmp_path / "other.safetensors")


def test_the_verb_tells_what_it_made(three: list[Path], fusetrack: Callable[..., tuple[int, str, str]]) -> None:
    names = [file.name for file in three[:2]]
    code, out, err = fusetrack("mean-weights", *names, "--shares", 0.3, 0.7, "--out", "mean.safetensors", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["weights"] == "mean.safetensors"
    assert [(part["file"], part["share"]) for part in facts["mean_of"]] == [(names[0], 0.3), (names[1], 0.7)]
    assert Path("mean.safetensors").is_file()
    code, out, err = fusetrack("mean-weights", *names, "--out", "mean.safetensors")
    assert (code, out) == (1, "")
    assert "there already" in err
    code, out, _ = fusetrack("mean-weights", *names, "--store", "bfloat16", "--out", "half.safetensors")
    assert code == 0
    assert "0.5 of w0.safetensors" in out
