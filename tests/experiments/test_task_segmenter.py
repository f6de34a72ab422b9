"""The segmenter's task: batches of their number alone, targets that fit, a loss that falls, fine-tuning."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import volumes
from experiments import cli
from experiments.fine_tuning import fine_tuned, labelled_in
from experiments.loop import LoopConfig
from experiments.tasks.cell_labelled import Labelled, LabelledConfig, median_diameter_um
from experiments.tasks.cell_phantom import PhantomPiecesConfig, drawn_phantoms
from experiments.tasks.cell_pieces import SHALLOWEST, Piece, deepened, filled, mirrored, shown, swapped
from experiments.tasks.cell_pool import Pool, PoolConfig
from experiments.tasks.cell_validation import HeldOut, judged
from experiments.tasks.segmenter import SegmenterTask, SegmenterTaskConfig
from experiments.training import train
from experiments.training_config import load_training
from experiments.training_log import read_log
from tracking3d.segment.network.architecture import UNetConfig, architecture_of
from tracking3d.segment.network.build import build_network, encoder_of
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND, HEADS, OFFSET, SIZE, WEIGHT
from tracking3d.segment.network.targets import targets
from volumes.errors import ConfigError, ContentError, GridError
from volumes.volume import from_array
from volumes.weights import load_weights, save_weights

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
REPOSITORY = Path(__file__).resolve().parents[2]
NETWORK = UNetConfig(widths=(8, 12))
SMALL = SegmenterTaskConfig(
    network=NETWORK, pool=PoolConfig(specimens=4, fresh=0.5, size=32, harder=0), crop=24, batch=2, held_out=2
)


def balls(shape: tuple[int, int, int], centres: list[tuple[int, int, int]], radius: float) -> np.ndarray:
    place = np.indices(shape)
    out = np.zeros(shape, np.uint16)
    for number, centre in enumerate(centres):
        far = sum((place[a] - centre[a]) ** 2 for a in range(3))
        out[far <= radius**2] = number + 1
    return out


def volume(voxels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), modality: str = "labels"):
    return from_array(voxels, spacing_um=spacing, modality=modality)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled crops of balls 14 µm across, as files."""
    folder, rng = tmp_path_factory.mktemp("few"), np.random.default_rng(0)
    for name in ("a", "b"):
        labels = balls((30, 36, 36), [(9, 10, 10), (20, 26, 14), (12, 12, 28)], 7.0)
        image = (labels > 0) + 0.1 * rng.standard_normal(labels.shape)
        volumes.write(volume(image.astype(np.float32), modality="fluorescence"), folder / f"{name}_image.nii.gz")
        volumes.write(volume(labels), folder / f"{name}_labels.nii.gz")
    return folder


def test_a_batch_is_that_of_its_seed_and_step_whatever_was_drawn_before() -> None:
    one, other = SegmenterTask(SMALL), SegmenterTask(SMALL)
    seen = {step: one.batch(3, step) for step in range(9)}
    for step in (8, 0, 5):
        again = other.batch(3, step)
        assert all(torch.equal(again[name], seen[step][name]) for name in again)
    assert not torch.equal(seen[0]["image"], one.batch(4, 0)["image"])
    assert seen[0]["image"].shape == (2, 1, 24, 24, 24)
    assert seen[0]["targets"].shape == (2, HEADS + 1, 24, 24, 24)
    assert {tensor.dtype for tensor in seen[0].values()} == {torch.float32}


def test_the_pool_moves_on_and_keeps_no_more_than_it_needs() -> None:
    pool = Pool(PoolConfig(specimens=3, fresh=1.0, size=20, harder=0, real=0), 0)
    for step in range(0, 30, 5):
        for draw in range(6):
            pool.piece(step, np.random.default_rng(draw))
        assert all(step <= number < step + 3 for number in pool.kept)


def test_a_pool_begins_easy() -> None:
    pool = Pool(PoolConfig(size=20, harder=100, real=0), 0)
    early = [pool.drawn(number)[0].std() for number in range(3)]
    again = [Pool(pool.config, 0).drawn(number)[0].std() for number in range(3)]
    assert early == again
    hard = Pool(PoolConfig(size=20, harder=0, real=0), 0)
    assert not np.array_equal(hard.drawn(1)[0], pool.drawn(1)[0])
    assert np.array_equal(hard.drawn(500)[0], pool.drawn(500)[0])


def test_turning_commutes_with_taking_targets() -> None:
    labels = balls((16, 18, 18), [(5, 5, 6), (10, 12, 11)], 4.2)
    wanted = targets(labels)
    for axis in range(3):
        image, turned = mirrored(labels, wanted, axis)
        assert np.allclose(turned, targets(np.ascontiguousarray(image)), atol=1e-5)
    image, turned = swapped(labels, wanted)
    assert np.allclose(turned, targets(np.ascontiguousarray(image)), atol=1e-5)


def test_what_is_shown_is_a_part_with_its_targets() -> None:
    labels = balls((30, 30, 30), [(8, 8, 8), (20, 20, 12)], 6.0)
    piece = Piece(labels.astype(np.float32), targets(labels), (0.0, 2.0), labels)
    for seed in range(8):
        image, wanted = shown(piece, (16, 24, 24), False, np.random.default_rng(seed))
        low = image.min()
        assert np.array_equal(image > low + 1e-3, wanted[FOREGROUND] > 0)
        assert abs(low) <= 0.12 + 1e-6
        assert (wanted[WEIGHT] == 1).all()
    thin, wanted = shown(piece, (24, 24, 24), True, np.random.default_rng(1))
    planes = int((wanted[WEIGHT].max((1, 2)) > 0).sum())
    assert 4 <= planes <= 20
    assert not thin[planes:].any()
    assert not wanted[:, planes:].any()
    large = filled(piece, (40, 30, 30))
    assert large.image.shape == (40, 30, 30)
    assert not large.targets[WEIGHT, 30:].any()
    assert filled(piece, (30, 20, 20)) is piece


def test_a_cell_that_a_part_cuts_is_deepest_where_it_is_cut() -> None:
    labels = balls((32, 32, 32), [(16, 16, 16)], 9.0)
    piece = Piece(labels.astype(np.float32), targets(labels), (0.0, 1.0), labels)
    for seed in range(6):
        _, wanted = shown(piece, (14, 32, 32), False, np.random.default_rng(seed))
        distance, cell = wanted[DISTANCE], wanted[FOREGROUND] > 0
        assert distance.max() == pytest.approx(1)
        assert not distance[~cell].any()
        # What the whole cell says is left as it is: how large it is, and where its centre lies.
        assert np.exp(wanted[SIZE][cell]).mean() * DIAMETER == pytest.approx(18.0, rel=0.03)
        places = np.indices(cell.shape)[1:] + wanted[OFFSET][1:] * DIAMETER
        assert np.ptp(places[:, cell], axis=1).max() < 0.01


def test_remains_of_a_cell_are_not_made_a_cell() -> None:
    labels = balls((32, 32, 32), [(16, 16, 16)], 9.0)
    distance = targets(labels)[DISTANCE][:8].copy()
    assert 0 < distance.max() < SHALLOWEST
    before = distance.copy()
    deepened(distance, labels[:8].astype(np.int32))
    assert np.array_equal(distance, before)


def test_phantoms_are_learnt_from_as_labelled_volumes_are() -> None:
    config = PhantomPiecesConfig(phantom=REPOSITORY / "configs/phantom/crowded.yaml", instrument="confocal", seeds=(3,))
    task = SegmenterTask(SMALL.model_copy(update={"phantoms": (config,), "labelled_share": 1.0}))
    drawn = next(iter(drawn_phantoms(config)))
    sizes = np.bincount(drawn.labels.ravel())[1:]
    assert np.cbrt(6 / np.pi * np.median(sizes[sizes > 0])) == pytest.approx(DIAMETER, rel=0.1)
    assert np.corrcoef(drawn.image.ravel(), (drawn.labels > 0).ravel())[0, 1] > 0.25
    assert task.batch(0, 0)["targets"][:, FOREGROUND].mean() > 0.02
    assert task.metadata()["phantoms"] == 1
    with pytest.raises(ConfigError, match="no such instrument"):
        next(iter(drawn_phantoms(config.model_copy(update={"instrument": "sonar"}))))


def test_labelled_volumes_come_on_the_network_s_grid() -> None:
    labels = balls((20, 40, 40), [(5, 10, 10), (14, 28, 28), (5, 30, 10)], 5.0)
    spacing = (2.0, 1.0, 1.0)
    image = (labels > 0).astype(np.float32)
    across = median_diameter_um(labels, spacing)
    assert across == pytest.approx(2 * 5 * 2 ** (1 / 3), rel=0.03)
    found = Labelled.from_volumes(volume(image, spacing, "fluorescence"), volume(labels, spacing))
    sizes = np.bincount(found.labels.ravel())[1:]
    assert np.cbrt(6 / np.pi * np.median(sizes)) == pytest.approx(DIAMETER, rel=0.06)
    assert np.corrcoef(found.image.ravel(), (found.labels > 0).ravel())[0, 1] > 0.9
    given = Labelled.from_volumes(volume(image, spacing, "fluorescence"), volume(labels, spacing), 0, 2 * across)
    assert np.prod(found.image.shape) == pytest.approx(8 * np.prod(given.image.shape), rel=0.1)


def test_pieces_of_labelled_volumes_vary_and_still_fit(few: Path) -> None:
    labelled = Labelled.of(labelled_in(few)[0])
    sizes = []
    for seed in range(8):
        piece, again = (labelled.piece(24, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(piece.image, again.image)
        known = piece.targets[WEIGHT] > 0
        cells = (piece.targets[FOREGROUND] > 0) & known
        assert not (piece.targets[DISTANCE] > 1.001).any()
        assert np.median(piece.image[cells]) > np.median(piece.image[known & ~cells]) + 0.4
        sizes.append(float(np.median(piece.targets[SIZE][cells])))
    assert np.std(sizes) > 0.05
    assert abs(np.mean(sizes)) < 0.35
    assert piece.targets[OFFSET].any()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    volumes.write(volume(np.ones((8, 8, 8), np.float32), modality="fluorescence"), tmp_path / "a.nii.gz")
    volumes.write(volume(np.ones((8, 8, 9), np.uint16)), tmp_path / "a_labels.nii.gz")
    volumes.write(volume(np.zeros((8, 8, 8), np.uint16)), tmp_path / "none.nii.gz")
    with pytest.raises(GridError, match="another grid"):
        Labelled.of(LabelledConfig(image=tmp_path / "a.nii.gz", labels=tmp_path / "a_labels.nii.gz"))
    with pytest.raises(ContentError, match="no cell"):
        Labelled.of(LabelledConfig(image=tmp_path / "a.nii.gz", labels=tmp_path / "none.nii.gz"))


class Knowing(torch.nn.Module):
    """Says the truth of the one volume that it is asked about."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        wanted = targets(labels)[:HEADS]
        wanted[FOREGROUND] = np.where(wanted[FOREGROUND] > 0, 9, -9)
        self.answer = torch.nn.Parameter(torch.from_numpy(wanted)[None])

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.answer


def test_a_network_that_knows_scores_one_and_one_that_does_not_scores_nothing() -> None:
    labels = balls((30, 36, 36), [(9, 10, 10), (20, 26, 14), (12, 12, 28)], 7.0).astype(np.int32)
    image = (labels > 0).astype(np.float32)
    found = judged(Knowing(labels), [HeldOut("one", image, labels)])
    assert found.means["AP"] == found.means["F1"] == 1
    assert found.means["SEG"] > 0.97
    assert found.criterion == "AP"
    assert found.images["one"].shape == (36, 3 * 36, 3)
    assert 0 <= found.images["one"].min() <= found.images["one"].max() <= 1
    other = judged(Knowing(np.roll(labels, 9, 2)), [HeldOut("one", image, labels)])
    assert other.means["AP"] == 0


def test_the_loss_falls(tmp_path: Path) -> None:
    loop = LoopConfig(steps=24, warmup=4, learning_rate=0.01, ema=0.8, validate_every=24, log_every=1)
    pool = PoolConfig(specimens=1, fresh=0, size=24, real=0, hardest=0.2)
    task = SegmenterTask(SMALL.model_copy(update={"thin": 0.0, "pool": pool, "held_out": 1, "seed": 1}))
    done = train(task, loop, tmp_path / "run")
    losses = [line["loss"] for line in read_log(tmp_path / "run" / "log.jsonl") if "loss" in line]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert set(done.model["means"]) == {"AP", "F1", "SEG"}


def test_fine_tuning_leaves_the_frozen_part_alone(few: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    torch.manual_seed(1)
    network = build_network(NETWORK)
    save_weights(start, network, {"architecture": architecture_of(NETWORK)})
    config = tmp_path / "tune.yaml"
    config.write_text(
        "name: tune\ntask: {kind: segmenter, network: {kind: unet, widths: [8, 12]}, crop: 24, batch: 1, held_out: 1,"
        " pool: {specimens: 2, fresh: 0, size: 24}}\nloop: {steps: 3, warmup: 1, ema: 0, learning_rate: 0.01}\n"
    )
    chosen = fine_tuned(load_training(config), start, "encoder", few)
    assert len(chosen.task.labelled) == 2
    done = train(chosen.task.build(), chosen.loop, tmp_path / "run")
    before, after = network.state_dict(), load_weights(done.weights)[0]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = {name for name in before if name.split(".")[0] in ("enter", "down", "encoder")}
    assert frozen
    assert moved == set(before) - frozen


def test_the_verb_s_options_reach_the_task(few: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    config = REPOSITORY / "configs" / "tracking3d" / "segmenter_small.yaml"
    monkeypatch.setattr(
        sys, "argv", ["fusetrack", "train", str(config), "--labels", str(few), "--freeze", "encoder", "--dry-run",
                      "--set", "task.pool.specimens=1", "--set", "task.pool.size=32", "--json"]
    )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capsys.readouterr()
    assert end.value.code == 0, told.err
    small = build_network(UNetConfig(widths=(16, 24)))
    frozen = sum(p.numel() for part in encoder_of(small) for p in part.parameters())
    assert json.loads(told.out)["parameters"] == sum(p.numel() for p in small.parameters()) - frozen


def test_what_cannot_be_fine_tuned_says_why(few: Path, tmp_path: Path) -> None:
    small = load_training(REPOSITORY / "configs" / "tracking3d" / "segmenter_small.yaml")
    assert fine_tuned(small, None, None, None) is small
    assert fine_tuned(small, Path("shipped"), None, None).task.weights == "shipped"
    with pytest.raises(ConfigError, match="no part that can be frozen"):
        fine_tuned(small, None, "decoder", None)
    with pytest.raises(ConfigError, match="is no folder"):
        fine_tuned(small, None, None, tmp_path / "missing")
    with pytest.raises(ConfigError, match="holds no labels"):
        fine_tuned(small, None, None, tmp_path)
    (tmp_path / "x_labels.tif").touch()
    with pytest.raises(ConfigError, match="has 0 images"):
        labelled_in(tmp_path)
    balls_config = tmp_path / "balls.yaml"
    balls_config.write_text("name: balls\ntask: {kind: denoise}\n")
    with pytest.raises(ConfigError, match="fine-tuned"):
        fine_tuned(load_training(balls_config), None, "encoder", None)


@pytest.mark.parametrize("name", ["segmenter", "segmenter_small", "segmenter_fine_tune"])
def test_the_configs_that_come_along_can_be_read(name: str) -> None:
    config = load_training(REPOSITORY / "configs" / "tracking3d" / f"{name}.yaml")
    assert isinstance(config.task, SegmenterTaskConfig)
    assert config.task.crop <= config.task.pool.size
    assert config.task.labelled == ()
    if name == "segmenter_fine_tune":
        assert config.task.weights == "shipped"
        assert config.task.labelled_share <= 0.3
