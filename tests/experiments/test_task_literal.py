"""The letter's task: what the net is shown, what it is asked, and that its weights fit the fuser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fusion
from experiments.tasks.dmf_lp_literal import LiteralTask, LiteralTaskConfig
from experiments.tasks.pictures import PicturesConfig
from experiments.tasks.recovery import recovery
from experiments.training_config import load_training
from fusion.diffusion.literal import LiteralConfig, prefused
from fusion.diffusion.literal_weights import LiteralWeights
from fusion.diffusion.noise import FURTHEST, alpha_bars, noised, velocity
from fusion.diffusion.unet_sizes import UNetSizes
from volumes import from_array
from volumes.weights import save_weights

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = LiteralTaskConfig(
    network=UNetSizes(widths=(4, 8), patch=2, groups=2),
    pictures=PicturesConfig(planes=3, solids=2, plane_size=32, solid_size=24),
    plane=(16, 16),
    solid=(4, 8, 8),
    planes=3,
    solids=2,
    solid_share=0.5,
    three_share=0.5,
    specimens=1,
    steps=(2, 1),
)


@pytest.fixture(scope="module")
def task() -> LiteralTask:
    return LiteralTask(SMALL)


def test_a_batch_is_that_of_its_seed_and_step(task: LiteralTask) -> None:
    for step in range(4):
        one, two = task.batch(1, step), LiteralTask(SMALL).batch(1, step)
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert not torch.equal(one["noise"], task.batch(2, step)["noise"])


def test_two_and_three_sources_in_slices_and_volumes_occur(task: LiteralTask) -> None:
    shapes = {tuple(task.batch(0, step)["sources"].shape[1:3]) for step in range(16)}
    assert shapes == {(2, 1), (3, 1), (2, 4), (3, 4)}


def test_the_target_is_what_lpf_makes_of_the_sources(task: LiteralTask) -> None:
    batch = task.batch(0, 2)
    for sources, target in zip(batch["sources"], batch["target"], strict=True):
        volumes = [from_array(own.numpy(), (1, 1, 1), modality="MRI") for own in sources]
        expected = fusion.fuse(volumes, fusion.LPFConfig(match="none")).channel()
        assert np.abs((target[0].numpy() + 1) / 2 - expected).max() < 1e-5


def test_the_net_is_shown_the_noised_target_and_the_pool_of_the_sources(task: LiteralTask) -> None:
    batch, seen = task.batch(0, 1), {}

    class Watching(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            seen.update(x=x, time=time)
            return batch["noise"]

    terms = task.loss(Watching(), batch)
    at = alpha_bars()[batch["time"]].view(-1, 1, 1, 1, 1)
    assert torch.equal(seen["x"][:, :1], noised(batch["target"], batch["noise"], at))
    torch.testing.assert_close(seen["x"][:, 1:2], 2 * batch["sources"].mean(1, keepdim=True) - 1)
    assert torch.equal(seen["x"][:, 2:], 2 * batch["sources"].amax(1, keepdim=True) - 1)
    assert terms["noise"].item() == 0
    assert set(terms) == {"noise", "intensity", "structure", "entropy", "gradient"}


def test_who_says_v_is_held_to_the_noise_as_well() -> None:
    task = LiteralTask(SMALL.model_copy(update={"prediction": "v_prediction"}))
    batch = task.batch(0, 1)
    at = alpha_bars()[batch["time"]].view(-1, 1, 1, 1, 1)

    class Knows(nn.Module):
        def forward(self, *_: Tensor) -> Tensor:
            return velocity(batch["target"], batch["noise"], at)

    assert task.loss(Knows(), batch)["noise"].item() < 1e-9


def test_ablations_are_configs(task: LiteralTask) -> None:
    bare = LiteralTask(SMALL.model_copy(update={"terms": LiteralWeights(entropy=0.0, structure=0.0)}))
    batch = bare.batch(0, 0)
    assert set(bare.loss(bare.model(), batch)) == {"noise", "intensity", "gradient"}


def test_validation_compares_with_the_pre_fusion_of_the_degraded(task: LiteralTask) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        found = task.validate(task.model().eval())
    assert found.criterion == "PSNR, 2 steps"
    rows = ("LP-F of the degraded", "2 steps", "1 steps", "from LP-F with noise")
    assert set(found.scores) == {f"{m}, {r}" for m in ("PSNR", "SSIM") for r in rows}
    # An untrained net says nothing: its walk ends in noise, far below LP-F.
    assert found.means["PSNR, LP-F of the degraded"] > found.means["PSNR, 2 steps"] + 3


def test_who_knows_lpf_walks_to_it_from_noise_and_from_lpf_with_noise(task: LiteralTask) -> None:
    (scene,) = task._held_out
    clean, degraded = (torch.tensor(prefused(list(own), (1, 1, 1)))[None, None] for own in (scene.clean, scene.taken))
    first = (2 * degraded - 1).clamp(-FURTHEST, FURTHEST)

    class Knows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(()))

        def forward(self, inputs: Tensor, time: Tensor) -> Tensor:
            at = alpha_bars()[time].view(-1, 1, 1, 1, 1)
            return (inputs[:, :1] - at.sqrt() * first) / (1 - at).sqrt()

    with torch.no_grad():
        found = task.validate(Knows())
    expected = recovery((first + 1) / 2, clean)["PSNR"]
    for row in ("2 steps", "1 steps", "from LP-F with noise"):
        assert found.means[f"PSNR, {row}"] == pytest.approx(expected, abs=0.01)


def test_another_phantoms_sources_are_a_row_of_their_own() -> None:
    torch.manual_seed(0)
    task = LiteralTask(SMALL.model_copy(update={"swapped": True, "specimens": 2, "steps": (1,)}))
    model = task.model().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1)
        found = task.validate(model)
    assert found.scores["PSNR, swapped"] != found.scores["PSNR, 1 steps"]


def test_what_is_trained_is_what_the_fuser_loads(task: LiteralTask, tmp_path: Path) -> None:
    path = tmp_path / "literal.safetensors"
    save_weights(path, task.model(), task.metadata())
    assert LiteralConfig(weights=path, network=SMALL.network).build().config.weights == path


def test_the_config_that_the_error_names_is_there_and_fits_the_fuser() -> None:
    config = load_training(REPOSITORY / "configs/fusion/dmf_lp_literal.yaml")
    assert isinstance(config.task, LiteralTaskConfig)
    assert config.task.network == LiteralConfig().network
