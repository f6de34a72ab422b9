"""What the loop computes, held against the same sums written out plainly, and against closed forms."""

from __future__ import annotations

import copy
import itertools
import json
import math
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from experiments.batches import batches
from experiments.ema import decay_at, follow
from experiments.learner import advance, learner, repeatable
from experiments.loop import LoopConfig, learning_rate
from experiments.training import train
from volumes.errors import ConfigError

# On a machine of one core torch advises against the helpers that some of these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


class Still(nn.Module):
    """Two numbers and a matrix, so that a step can be followed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(2, 2, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(2, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix + self.bias


class Plain:
    """A task without any randomness of its own in the network."""

    def model(self):
        return Still()

    def batch(self, seed, step):
        rng = np.random.default_rng((seed, step))
        return {"x": torch.from_numpy(rng.normal(size=(3, 2))), "y": torch.from_numpy(rng.normal(size=(3, 2)))}

    def loss(self, model, batch):
        return {"a": (model(batch["x"]) - batch["y"]).square().mean(), "b": 0.5 * model(batch["x"]).abs().mean()}

    def validate(self, model):
        raise NotImplementedError

    def metadata(self):
        return {}


def stepped(task, loop: LoopConfig, steps: int):
    made = learner(task, loop)
    source = batches(task, loop.seed, range(loop.steps * loop.accumulate), workers=0)
    return made, [advance(made, task, loop, step, source) for step in range(1, steps + 1)]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("clip", [None, 0.3])
def test_steps_are_adamw_s_written_out(accumulate: int, clip: float | None) -> None:
    """Loshchilov & Hutter, algorithm 2, in numpy, with the gradient from autograd of the plain loss."""
    loop = LoopConfig(
        steps=6, warmup=2, learning_rate=0.05, weight_decay=0.2, clip=clip, ema=0.9, accumulate=accumulate, seed=4
    )
    task = Plain()
    made, told = stepped(task, loop, 6)
    torch.manual_seed(4)
    plain = Still()
    mean = {name: weight.detach().numpy().copy() for name, weight in plain.named_parameters()}
    first = {name: np.zeros_like(value) for name, value in mean.items()}
    second = {name: np.zeros_like(value) for name, value in mean.items()}
    for step in range(1, 7):
        plain.zero_grad()
        parts = [task.loss(plain, task.batch(4, (step - 1) * accumulate + i)) for i in range(accumulate)]
        total = sum(sum(terms.values()) for terms in parts) / accumulate
        total.backward()
        assert told[step - 1].loss == pytest.approx(total.item(), rel=1e-6)
        grads = {name: weight.grad.numpy().copy() for name, weight in plain.named_parameters()}
        length = math.sqrt(sum((g**2).sum() for g in grads.values()))
        assert told[step - 1].gradient == pytest.approx(length, rel=1e-6)
        scale = 1.0 if clip is None else min(1.0, clip / (length + 1e-6))
        rate = told[step - 1].learning_rate
        for name, weight in plain.named_parameters():
            value, grad = weight.detach().numpy(), grads[name] * scale
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.99 * second[name] + 0.01 * grad**2
            if value.ndim >= 2:
                value -= rate * 0.2 * value
            root = np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8
            value -= rate * first[name] / (1 - 0.9**step) / root
            d = min(0.9, (1 + step) / (10 + step))
            mean[name] = d * mean[name] + (1 - d) * value
    for name, weight in made.model.named_parameters():
        np.testing.assert_allclose(weight.detach().numpy(), dict(plain.named_parameters())[name].detach(), rtol=1e-9)
    for name, weight in made.ema.named_parameters():
        np.testing.assert_allclose(weight.numpy(), mean[name], rtol=1e-9)


def test_the_learning_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    loop = LoopConfig(steps=110, warmup=10, learning_rate=2.0, final=0.1)
    rates = [learning_rate(loop, step) for step in range(1, 111)]
    np.testing.assert_allclose(rates[:10], np.linspace(0.2, 2.0, 10))
    assert rates[59] == pytest.approx((2.0 + 0.2) / 2)  # half of the way: the middle of the two ends
    assert rates[-1] == pytest.approx(0.2)
    # A cosine is symmetric about its middle.
    np.testing.assert_allclose(np.add(rates[9:110], rates[9:110][::-1]), 2.2)
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))
    constant = loop.model_copy(update={"schedule": "constant"})
    assert {learning_rate(constant, step) for step in range(10, 111)} == {2.0}
    assert learning_rate(LoopConfig(warmup=0, learning_rate=2.0, steps=1, final=0), 1) == pytest.approx(0.0)


def test_the_running_mean_is_torch_s_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    ours, theirs = (
        copy.deepcopy(model),
        torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)),
    )
    theirs.update_parameters(model)  # its first call copies
    for _ in range(5):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        model(torch.randn(4, 3))
        follow(ours, model, 0.8)
        theirs.update_parameters(model)
    for a, b in zip(ours.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(ours.buffers(), model.buffers(), strict=True):
        assert torch.equal(a, b)


def test_the_start_is_forgotten_faster_than_the_decay_alone_would() -> None:
    assert decay_at(1, 0.999) == 2 / 11
    assert decay_at(100_000, 0.999) == 0.999
    assert decay_at(5, 0.0) == 0.0


def test_batches_are_the_same_from_any_number_of_processes(toy) -> None:
    alone = [b["x"] for b in batches(toy(), 3, range(2, 12, 3), workers=0)]
    helped = [b["x"] for b in batches(toy(), 3, range(2, 12, 3), workers=2)]
    assert len(alone) == len(helped) == 4
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    assert torch.equal(alone[1], toy().batch(3, 5)["x"])


def test_what_a_task_keeps_for_its_batches_is_made_once_for_all_helpers(toy, tmp_path: Path) -> None:
    class Keeping(toy):
        @cached_property
        def pool(self):
            with (tmp_path / "made").open("a") as file:
                file.write("once\n")
            return [1.0]

        def batch(self, seed, step):
            return {"x": torch.tensor(self.pool) * (step + 0 * seed)}

    assert [float(b["x"]) for b in batches(Keeping(), 0, range(1, 5), workers=2)] == [1, 2, 3, 4]
    assert (tmp_path / "made").read_text() == "once\n"


def test_helpers_change_no_bit_of_the_result(toy, loop, tensors, same, tmp_path: Path) -> None:
    for workers in (0, 2):
        train(toy(), loop(workers=workers), tmp_path / str(workers))
    a, b = (tensors(tmp_path / name / "weights.safetensors") for name in ("0", "2"))
    assert same(a, b)


def test_another_seed_is_another_training(toy, loop, tensors, same, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(toy(), loop(seed=seed), tmp_path / str(seed))
    a, b = (tensors(tmp_path / name / "weights.safetensors") for name in ("0", "1"))
    assert not same(a, b)


def test_bf16_on_a_cpu_is_refused_where_gradients_are_wrong(toy, loop, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bfloat16 gradients of Conv2d") as caught:
        train(toy(), loop(precision="bf16"), tmp_path / "half")
    assert "loop.precision" in str(caught.value)
    assert not (tmp_path / "half" / "checkpoints").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="bf16 is trained on a GPU only")
def test_bf16_is_the_arithmetic_s_and_not_the_weights_kind(toy, loop, tensors, tmp_path: Path) -> None:
    kinds = []

    class Watched(toy):
        def model(self):
            made = super().model()
            made[0].register_forward_hook(lambda _module, _given, out: kinds.append(out.dtype))
            return made

    train(Watched(), loop(precision="bf16", device="cuda"), tmp_path / "half")
    assert torch.bfloat16 in kinds
    found = tensors(tmp_path / "half" / "weights.safetensors")
    assert {t.dtype for t in found.values() if t.is_floating_point()} == {torch.float32}
    kinds.clear()
    train(Watched(), loop(device="cuda"), tmp_path / "whole")
    assert set(kinds) == {torch.float32}


def test_an_anchor_keeps_a_share_of_the_first_weights(toy, loop, tensors, same, tmp_path: Path) -> None:
    free, held = (train(toy(), loop(anchor=anchor), tmp_path / str(anchor)).weights for anchor in (0.0, 0.3))
    torch.manual_seed(loop().seed)
    first, ends, found = toy().model().state_dict(), tensors(free), tensors(held)
    for name, weight in toy().model().named_parameters():
        assert torch.allclose(found[name], 0.3 * first[name] + 0.7 * ends[name], atol=1e-6)
        assert weight.ndim == 1 or not torch.allclose(found[name], ends[name], atol=1e-4)
    assert same({"mean": found["1.running_mean"]}, {"mean": ends["1.running_mean"]})
    last = [tensors(sorted((tmp_path / name / "checkpoints").iterdir())[-1]) for name in ("0.0", "0.3")]
    assert same(*last)


def test_it_learns_and_ships_the_running_mean(toy, loop, tensors, same, tmp_path: Path) -> None:
    done = train(toy(), loop(steps=60), tmp_path / "run")
    untrained = toy().validate(toy().model().eval().requires_grad_(False))
    assert done.model["means"]["error"] < 0.5 * untrained.means["error"]
    last = tensors(sorted((tmp_path / "run" / "checkpoints").iterdir())[-1])
    of = {part: {n[len(part) :]: t for n, t in last.items() if n.startswith(part)} for part in ("ema.", "model.")}
    shipped = tensors(done.weights)
    assert same(shipped, of["ema."])
    assert not same(shipped, of["model."])
    fresh = toy().model()
    fresh.load_state_dict(shipped)
    again = toy().validate(fresh.eval().requires_grad_(False))
    assert json.loads(json.dumps(again.scores)) == done.model["validation"]


def test_the_best_step_is_the_log_s_best(toy, loop, tensors, tmp_path: Path) -> None:
    misled = toy(fault=lambda step: 0.0 if step < 40 else -50.0)
    done = train(misled, loop(steps=60, validate_every=2, schedule="constant"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    means = {e["step"]: np.mean([*e["validation"]["error"].values()]) for e in lines if "validation" in e}
    best = min(means, key=lambda step: (means[step], step))
    assert done.model["best"]["step"] == best < 60
    assert done.model["best"]["value"] == pytest.approx(means[best])
    fresh = toy().model()
    fresh.load_state_dict(tensors(tmp_path / "run" / "best.safetensors"))
    assert toy().validate(fresh.eval().requires_grad_(False)).means["error"] == pytest.approx(means[best], rel=1e-6)


def test_kernels_channels_last_change_no_number_much(tmp_path: Path) -> None:
    from experiments.tasks.denoise import DenoiseTaskConfig

    task = DenoiseTaskConfig(size=6, specimens=1, batch=1, channels=2).build()
    plain, _ = stepped(task, LoopConfig(steps=3, warmup=0), 3)
    last, _ = stepped(task, LoopConfig(steps=3, warmup=0, channels_last=True), 3)
    assert last.model[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(last.model[0].weight, plain.model[0].weight, rtol=1e-4, atol=1e-5)


def test_torch_is_left_as_it_was_found(toy, loop, tmp_path: Path) -> None:
    torch.manual_seed(11)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.random.get_rng_state()
    train(toy(), loop(threads=2), tmp_path / "run")
    with repeatable(loop(threads=3)):
        assert torch.get_num_threads() == 3
        assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ZeroDivisionError), repeatable(loop(threads=3)):
        raise ZeroDivisionError
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before[:2]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@pytest.mark.parametrize("bad", [{"steps": 0}, {"ema": 1.0}, {"precision": "fp16"}, {"budget_s": 0}, {"step": 3}])
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LoopConfig.model_validate(bad)
