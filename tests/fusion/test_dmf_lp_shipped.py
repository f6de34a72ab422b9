"""The weights that come with the package: they load, say what made them, and do what they are for."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml

import fusion
from experiments.bench.fusion_pairs import pairs
from fusion.diffusion.architecture import NetworkConfig, architecture_of
from fusion.diffusion.inference import SHIPPED
from fusion.metrics import evaluate, per_source
from phantom.patchwork import pictures_of, random_structure
from volumes import Volume, from_array
from volumes.weights import load_weights

WEIGHTS = Path(str(files("fusion") / "weights"))


def volumes_of(pictures: np.ndarray, modalities: tuple[str, ...]) -> list[Volume]:
    return [from_array(p, (1, 1, 1), modality=m) for p, m in zip(pictures, modalities, strict=True)]


@pytest.mark.parametrize("goal", SHIPPED)
def test_they_are_small_of_the_default_network_and_beside_their_config_log_and_card(goal: str) -> None:
    file = SHIPPED[goal]
    assert file.stat().st_size < 8e6
    _, metadata = load_weights(file, architecture_of(NetworkConfig()))
    config = yaml.safe_load(file.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert 0 < metadata["step"] <= config["loop"]["steps"]
    assert file.with_suffix(".jsonl").read_text(encoding="utf-8").count("\n") > 10
    card = (WEIGHTS / "dmf_lp.md").read_text(encoding="utf-8")
    for word in ("licence", "Limits", "MIT", "BSD", file.name, str(metadata["step"])):
        assert word in card


@pytest.mark.parametrize(("goal", "name"), [("show", "dmf_lp_heads.yaml"), ("recover", "dmf_lp_recover.yaml")])
def test_the_config_beside_them_is_the_one_that_trains_them(goal: str, name: str) -> None:
    """But for the folders of its files, and the file that it began from, which differ from machine to machine."""
    from experiments.training_config import load_training, resolved

    ours, stored = (
        resolved(load_training(file))
        for file in (Path(str(files("configs") / "fusion" / name)), SHIPPED[goal].with_suffix(".yaml"))
    )
    for config in (ours, stored):
        config["task"]["weights"] = None
        for stack in config["task"]["pictures"]["stacks"]:
            stack["files"] = [Path(file).name for file in stack["files"]]
    assert stored == ours


def test_those_that_recover_bring_phantoms_nearer_to_the_clean_fusion() -> None:
    """Mean PSNR of specimens that no training and no validation saw, against LP-F of the clean sources."""
    from experiments.tasks.pictures import specimens

    found: dict[str, list[float]] = {"dmf-lp": [], "lpf": []}
    lpf = fusion.LPFConfig(base="max", match="none", levels=4)
    for scene in specimens(20261128, 6, 32):
        assert scene.taken is not None
        target = fusion.fuse(volumes_of(scene.clean, scene.modalities), lpf).array
        for kind, fuser in (("dmf-lp", fusion.DMFLPConfig(goal="recover", match="none")), ("lpf", lpf)):
            error = np.square(fusion.fuse(volumes_of(scene.taken, scene.modalities), fuser).array - target).mean()
            found[kind].append(10 * np.log10(np.ptp(target) ** 2 / error))
    assert np.mean(found["dmf-lp"]) > np.mean(found["lpf"])


def test_equal_sources_black_and_order_hold_for_them() -> None:
    rng = np.random.default_rng(3)
    pictures = pictures_of(random_structure((1, 90, 70), rng), ("contrast", "functional"), rng)
    one, other = volumes_of(pictures, ("MRI", "PET"))
    same = fusion.fuse([one, one], "dmf-lp").array
    np.testing.assert_allclose(same, one.array, atol=2e-6)
    there, back = (fusion.fuse(list(pair), "dmf-lp").array for pair in ((one, other), (other, one)))
    np.testing.assert_allclose(there, back, atol=2e-6)
    black = (pictures == 0).all(axis=0)
    assert black.mean() > 0.05
    direct = fusion.fuse([one, other], fusion.DMFLPConfig(match="none")).channel()
    assert np.abs(direct[black]).max() < 1e-6


@pytest.mark.parametrize(("other", "every"), [("CT", 10), ("PET", 40), ("SPECT", 60)])
def test_real_pairs_keep_more_of_both_sources_than_the_maximum_does(data: Path, other: str, every: int) -> None:
    """Of patients that no choice was made on: by every figure, and hiding neither source."""
    chosen = pairs(data, other, parts=("reported",))[::every]
    assert len(chosen) > 2
    gains: dict[str, list[float]] = {"SCD": [], "VIF": [], "Qabf": [], "SSIM_range2": [], "edges_lost": []}
    own: list[np.ndarray] = []
    for pair in chosen:
        levels = pair.levels()
        fused = fusion.fuse(pair.volumes(), fusion.DMFLPConfig(match="none")).channel()[0]
        ours, highest = np.clip(np.rint(fused), 0, 255), np.maximum(*levels)
        scores, before = (evaluate(picture, levels) for picture in (ours, highest))
        each, each_before = (per_source(picture, levels) for picture in (ours, highest))
        for figure in scores.keys() & gains.keys():
            gains[figure].append(scores[figure] - before[figure])
        gains["edges_lost"].append(sum(each_before["edges_lost"]) - sum(each["edges_lost"]))
        own.append(np.divide(each["VIF"], each_before["VIF"]))
    assert {figure: np.mean(values) > 0 for figure, values in gains.items()} == dict.fromkeys(gains, True)
    assert np.mean(own, axis=0).min() > 0.9
