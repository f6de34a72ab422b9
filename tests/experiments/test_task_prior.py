"""The prior's task: batches of their number alone, a loss that the exact answer brings to zero, fitting settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from experiments.tasks.pictures import PicturesConfig
from experiments.tasks.prior import PriorTask, PriorTaskConfig
from experiments.training_config import load_training
from fusion.diffusion.ddfm import DDFMConfig
from fusion.diffusion.noise import alpha_bars, noised, velocity
from fusion.diffusion.unet_sizes import UNetSizes
from volumes.weights import save_weights

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = PriorTaskConfig(
    network=UNetSizes(widths=(4, 8), patch=2, groups=2),
    pictures=PicturesConfig(planes=3, solids=2, plane_size=32, solid_size=16),
    plane=(16, 16),
    solid=(4, 8, 8),
    planes=3,
    solids=2,
    solid_share=0.5,
    held_out=1,
)


@pytest.fixture(scope="module")
def task() -> PriorTask:
    return PriorTask(SMALL)


class Answering(nn.Module):
    """Gives one answer, whatever it is asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Tensor) -> Tensor:
        return self.answer


def test_a_batch_is_that_of_its_seed_and_step(task: PriorTask) -> None:
    for step in range(4):
        one, two = task.batch(1, step), PriorTask(SMALL).batch(1, step)
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert not torch.equal(one["noise"], task.batch(2, step)["noise"])


def test_slices_and_volumes_both_occur_in_the_range_of_the_net(task: PriorTask) -> None:
    batches = [task.batch(0, step) for step in range(12)]
    assert {tuple(b["clean"].shape) for b in batches} == {(3, 1, 1, 16, 16), (2, 1, 4, 8, 8)}
    for b in batches:
        assert b["clean"].dtype == b["noise"].dtype == torch.float32
        assert b["clean"].min() >= -1.001
        assert b["clean"].max() <= 1.001
        assert b["time"].shape == b["clean"].shape[:1]
        assert 0 <= b["time"].min() <= b["time"].max() <= 999
    assert max(float(b["clean"].max() - b["clean"].min()) for b in batches) > 0.5


def test_the_loss_is_zero_for_the_true_velocity_and_one_for_silence_at_no_signal(task: PriorTask) -> None:
    batch = task.batch(0, 3)
    at = alpha_bars()[batch["time"]].view(-1, 1, 1, 1, 1)
    true = velocity(batch["clean"], batch["noise"], at)
    assert task.loss(Answering(true), batch)["velocity"].item() == 0
    silent = task.loss(Answering(torch.zeros_like(true)), batch)["velocity"]
    assert silent.item() == pytest.approx(true.square().mean().item())


def test_the_net_is_shown_the_noised_picture_at_its_time(task: PriorTask) -> None:
    batch, seen = task.batch(0, 1), {}

    class Watching(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            seen.update(x=x, time=time)
            return torch.zeros_like(x)

    task.loss(Watching(), batch)
    at = alpha_bars()[batch["time"]].view(-1, 1, 1, 1, 1)
    assert torch.equal(seen["x"], noised(batch["clean"], batch["noise"], at))
    assert torch.equal(seen["time"], batch["time"])


def test_a_few_steps_lower_the_loss(task: PriorTask) -> None:
    torch.manual_seed(0)
    net = task.model()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    batch = task.batch(0, 0)
    losses = []
    for _ in range(15):
        loss = sum(task.loss(net, batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_validation_scores_each_held_out_picture_and_shows_a_sample(task: PriorTask) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        found = task.validate(task.model().eval())
    assert set(found.scores) == {"PSNR", "SSIM"}
    assert len(found.scores["PSNR"]) == 2
    assert found.images["sample"].shape == (16, 16)
    assert all(0 <= image.min() <= image.max() <= 1 for image in found.images.values())


def test_what_is_trained_is_what_ddfm_loads(task: PriorTask, tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    save_weights(path, task.model(), task.metadata(), torch.bfloat16)
    assert DDFMConfig(weights=path, network=SMALL.network).build().config.weights == path


def test_the_config_of_the_shipped_prior_is_of_ddfms_default_sizes_and_small() -> None:
    config = load_training(REPOSITORY / "configs/fusion/prior.yaml")
    assert isinstance(config.task, PriorTaskConfig)
    assert config.task.network == DDFMConfig().network
    number = sum(p.numel() for p in config.task.build().model().parameters())
    assert 2 * number < 2_000_000
