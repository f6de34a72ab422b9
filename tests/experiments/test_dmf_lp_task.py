"""The training of dmf-lp: batches that a seed and a step decide, a loss that falls, scores of what was held out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import fusion
from experiments.tasks.dmf_lp import HELD_OUT, DMFLPTask, DMFLPTaskConfig, PathConfig
from experiments.tasks.pictures import PicturesConfig, specimens
from fusion.diffusion.architecture import MODALITIES, NetworkConfig
from fusion.diffusion.bands import plan_of, prefused
from fusion.diffusion.dmf_lp import DMFLPConfig
from fusion.diffusion.objective import objective
from fusion.diffusion.objective_config import ObjectiveConfig
from volumes import from_array
from volumes.errors import WeightsError
from volumes.weights import save_weights

POOL = PicturesConfig(planes=4, solids=2, plane_size=48, solid_size=16)
TINY = DMFLPTaskConfig(
    network=NetworkConfig(widths=(8, 8, 8)),
    pictures=POOL,
    plane=(24, 32),
    solid=(8, 12, 16),
    planes=4,
    solids=2,
    specimens=1,
)


def task(**changes: object) -> DMFLPTask:
    return DMFLPTask(DMFLPTaskConfig(**{**dict(TINY), **changes}))


class Echo(nn.Module):
    """Gives back the state, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.anything, self.seen = nn.Parameter(torch.zeros(1)), []

    def forward(self, inputs: object, state: Tensor, time: Tensor) -> SimpleNamespace:
        self.seen.append((inputs, state, time))
        return SimpleNamespace(fused=state + 0 * self.anything)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    first, second = task(), task()
    steps = [0, 3, 1, 7]
    forwards = {step: first.batch(5, step) for step in steps}
    backwards = {step: second.batch(5, step) for step in reversed(steps)}
    for step in steps:
        for name, values in forwards[step].items():
            assert torch.equal(values, backwards[step][name])
    assert not torch.equal(task(solid_share=0).batch(5, 0)["clean"], task(solid_share=0).batch(5, 1)["clean"])
    assert not torch.equal(task(solid_share=0).batch(5, 0)["clean"], task(solid_share=0).batch(6, 0)["clean"])
    assert not torch.equal(task(solid_share=0).batch(5, 0)["clean"], task(solid_share=0, seed=1).batch(5, 0)["clean"])


@pytest.mark.parametrize(("solid_share", "shape"), [(0.0, (4, 1, 24, 32)), (1.0, (2, 8, 12, 16))])
@pytest.mark.parametrize(("three_share", "sources"), [(0.0, 2), (1.0, 3)])
def test_a_batch_has_the_shapes_that_are_configured(solid_share, shape, three_share, sources: int) -> None:
    batch = task(solid_share=solid_share, three_share=three_share).batch(0, 0)
    count, *space = shape
    for name in ("clean", "degraded"):
        assert batch[name].shape == (count, sources, *space)
        assert batch[name].dtype == torch.float32
        assert batch[name].isfinite().all()
    assert batch["clean"].min() >= 0
    assert batch["clean"].max() <= 1
    assert batch["noise"].shape == (count, 1, *space)
    assert batch["time"].shape == (count,)
    assert batch["modalities"].shape == (count, sources)
    assert batch["modalities"].dtype == torch.int64
    assert 0 <= batch["modalities"].min() <= batch["modalities"].max() < len(MODALITIES)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_shares_are_kept_on_average(share: float) -> None:
    pictures = POOL.model_copy(update={"clean_share": share})
    made = task(pictures=pictures, solid_share=share, three_share=share, unknown_share=share, plane=(16, 16))
    made = DMFLPTask(made.config.model_copy(update={"path": PathConfig(at_start=share)}))
    batches = [made.batch(1, step) for step in range(60)]
    undegraded = torch.cat([(b["clean"] == b["degraded"]).flatten(1).all(1) for b in batches]).float().mean()
    found = {
        "solid": np.mean([b["clean"].shape[2] > 1 for b in batches]),
        "three": np.mean([b["clean"].shape[1] == 3 for b in batches]),
        "unknown": torch.cat([(b["modalities"] == 0).flatten() for b in batches]).float().mean(),
        "at start": torch.cat([b["time"] == 0 for b in batches]).float().mean(),
        "undegraded": undegraded,
    }
    for name, value in found.items():
        exact = share in (0.0, 1.0) and name != "undegraded"
        assert float(value) == pytest.approx(share, abs=0 if exact else 0.2), name


def test_times_are_uniform_or_zero() -> None:
    uniform = torch.cat([task(path=PathConfig(at_start=0), solid_share=0).batch(0, i)["time"] for i in range(60)])
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.08)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.05)
    assert task(path=PathConfig(times="zero")).batch(0, 0)["time"].abs().max() == 0


def test_the_state_is_the_bridge_between_the_start_and_the_target() -> None:
    batch = dict(task(solid_share=1).batch(0, 0))
    plan = plan_of(batch["clean"].shape[2:], (1, 1, 1), 2)
    target, before = prefused(batch["clean"], plan), prefused(batch["degraded"], plan)
    starts = {"lpf": before, "mean": batch["degraded"].mean(1, keepdim=True), "noise": batch["noise"]}
    for t in (0.0, 0.25, 1.0):
        batch["time"] = torch.full((2,), t)
        for name, start in starts.items():
            model = Echo()
            made = task(path=PathConfig(start=name, sigma=0.3))
            made.loss(model, batch)
            inputs, state, time = model.seen[0]
            noise = 0 if name == "noise" else 0.3 * (t * (1 - t)) ** 0.5 * batch["noise"]
            torch.testing.assert_close(state, (1 - t) * start + t * target + noise)
            assert torch.equal(time, batch["time"])
            assert torch.equal(inputs.sources, batch["degraded"])
            assert torch.equal(inputs.modalities, batch["modalities"])


def test_the_loss_is_that_of_the_clean_sources_and_their_prefusion() -> None:
    made = task(objective=ObjectiveConfig(target=1, gains=1, edges=1), path=PathConfig(times="zero"))
    batch = dict(made.batch(0, 0))
    batch["degraded"] = batch["clean"]
    found = made.loss(Echo(), batch)
    assert set(found) == {"target", "gains", "edges"}
    assert found["target"] == 0
    assert found["gains"] != 0
    batch["degraded"] = batch["clean"].clone()
    batch["degraded"][1:] *= 0.2
    batch["degraded"][0, 0, ..., 3, 3] += 0.5  # a single voxel is enough: none was seen undegraded
    plan = plan_of(batch["clean"].shape[2:], (1, 1, 1), 2)
    fused, target = prefused(batch["degraded"], plan), prefused(batch["clean"], plan)
    none = torch.zeros(len(fused), dtype=torch.bool)
    expected = objective(made.config.objective, fused, target, batch["clean"], none)
    found = made.loss(Echo(), batch)
    assert {k: v.item() for k, v in found.items()} == pytest.approx({k: v.item() for k, v in expected.items()})
    assert found["gains"] == 0
    assert found["edges"] > 0.1


@pytest.mark.parametrize("terms", [{"target": 1.0}, {"target": 1.0, "gains": 1.0, "edges": 1.0}])
def test_the_loss_is_finite_and_falls(terms: dict[str, float]) -> None:
    made = task(objective=ObjectiveConfig(**terms), solid_share=0.3)
    torch.manual_seed(0)
    model = made.model()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    seen = [made.batch(0, step) for step in range(4)]

    def total() -> float:
        with torch.no_grad():
            return sum(float(sum(made.loss(model, batch).values())) for batch in seen)

    began = total()
    assert np.isfinite(began)
    for step in range(40):
        optimiser.zero_grad()
        loss = sum(made.loss(model, seen[step % 4]).values())
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        optimiser.step()
    assert began > 0
    assert total() < 0.95 * began


def test_what_is_held_out_was_never_trained_on() -> None:
    made = task(pictures=POOL.model_copy(update={"specimens": 1, "solids": 0}))
    held = specimens(made.config.seed + HELD_OUT, 1, 16)[0]
    trained = made.pictures._solid
    assert len(trained) == 1
    assert not any(np.array_equal(held.clean[:1], scene.clean[:1]) for scene in trained)
    assert np.array_equal(held.clean, made._held_out[0].clean)
    assert held.taken is not None
    assert held.taken.shape == held.clean.shape == (len(held.modalities), 16, 16, 16)


def test_validation_scores_every_specimen_against_the_clean_prefusion() -> None:
    made = task(steps=(1, 2))
    with torch.no_grad():
        found = made.validate(Echo())
    names = ("LP-F of the degraded", "1 steps", "2 steps")
    assert set(found.scores) == {f"{metric}, {name}" for metric in ("PSNR", "SSIM") for name in names}
    assert all(set(units) == {"specimen 0"} for units in found.scores.values())
    assert found.criterion == "PSNR, 1 steps"
    assert set(found.images) == {"target", *names}
    assert all(picture.shape == (16, 16) and 0 <= picture.min() <= picture.max() <= 1 for picture in
               found.images.values())  # fmt: skip
    # A network that returns the state leaves the walk where it began.
    for metric in ("PSNR", "SSIM"):
        assert found.means[f"{metric}, 2 steps"] == pytest.approx(found.means[f"{metric}, LP-F of the degraded"])
    scene = made._held_out[0]
    pair = [[from_array(a, (1, 1, 1), modality="x") for a in taken] for taken in (scene.clean, scene.taken)]
    config = fusion.LPFConfig(base="max", match="none", levels=2)
    target, start = (fusion.fuse(some, config).channel().astype(float) for some in pair)
    expected = 10 * np.log10(np.ptp(target) ** 2 / np.mean((target - start) ** 2))
    assert found.means["PSNR, LP-F of the degraded"] == pytest.approx(expected, abs=0.01)


def test_weights_of_the_task_are_those_that_the_fuser_loads(tmp_path: Path, rng: np.random.Generator) -> None:
    made = task(path=PathConfig(times="zero"))
    path = tmp_path / "trained.safetensors"
    save_weights(path, made.model(), made.metadata())
    fuser = DMFLPConfig(weights=path, network=TINY.network).build()
    volumes = [from_array(rng.uniform(size=(1, 20, 20)).astype(np.float32), (1, 1, 1), modality="CT") for _ in "ab"]
    assert np.isfinite(fusion.fuse(volumes, fuser).array).all()
    assert made.metadata()["path"]["times"] == "zero"


@pytest.mark.parametrize("wrong", [{"planes": 0}, {"solid_share": 1.5}, {"specimens": 0}, {"steps": ()}, {"plains": 3}])
def test_a_setting_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DMFLPTaskConfig(**wrong)


def test_training_may_begin_from_weights_of_the_same_network_and_of_no_other(tmp_path: Path) -> None:
    torch.manual_seed(3)
    first = task().model()
    file = tmp_path / "weights.safetensors"
    save_weights(file, first, task().metadata())
    again = task(weights=file).model()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    with pytest.raises(WeightsError, match="another network"):
        task(weights=file, network=NetworkConfig(widths=(8, 8))).model()
