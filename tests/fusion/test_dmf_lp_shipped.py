"""The weights that come with the package: they load, say what made them, and do what they are for."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import fusion
from fusion.diffusion.architecture import NetworkConfig, architecture_of
from fusion.diffusion.inference import SHIPPED
from fusion.diffusion.weights import load_weights
from fusion.metrics import evaluate, per_source
from phantom.patchwork import degraded, pictures_of, random_structure
from volumes import Volume, from_array

WEIGHTS = Path(str(files("fusion") / "weights"))


def volumes_of(pictures: np.ndarray, modalities: tuple[str, ...]) -> list[Volume]:
    return [from_array(p, (1, 1, 1), modality=m) for p, m in zip(pictures, modalities, strict=True)]


def test_they_are_small_of_the_default_network_and_beside_their_config_log_and_card() -> None:
    assert SHIPPED.stat().st_size < 16e6
    _, metadata = load_weights(SHIPPED, architecture_of(NetworkConfig()))
    config = yaml.safe_load((WEIGHTS / "dmf_lp.yaml").read_text(encoding="utf-8"))
    assert metadata["step"] == config["loop"]["steps"]
    assert (WEIGHTS / "dmf_lp.jsonl").read_text(encoding="utf-8").count("\n") > 10
    card = (WEIGHTS / "dmf_lp.md").read_text(encoding="utf-8")
    for word in ("licence", "Limits", "MIT", "BSD", str(metadata["step"])):
        assert word in card


def test_the_config_beside_them_is_the_one_that_trains_them() -> None:
    """But for the folders of its files, and the file that it began from, which differ from machine to machine."""
    from experiments.training_config import load_training, resolved

    ours = resolved(load_training(Path(str(files("configs") / "fusion" / "dmf_lp_further.yaml"))))
    stored = yaml.safe_load((WEIGHTS / "dmf_lp.yaml").read_text(encoding="utf-8"))
    for config in (ours, stored):
        config["task"]["weights"] = None
        for stack in config["task"]["pictures"]["stacks"]:
            stack["files"] = [Path(file).name for file in stack["files"]]
    assert stored == ours


@pytest.mark.parametrize("shape", [(1, 96, 96), (20, 40, 44)])
def test_degraded_sources_come_nearer_to_the_clean_fusion_than_without_it(shape: tuple[int, int, int]) -> None:
    """Mean over drawn specimens of the error against LP-F of the clean sources, beside LP-F of the degraded ones."""
    names, lpf = ("MRI", "CT"), fusion.LPFConfig(base="max", match="none")
    errors: dict[str, list[float]] = {"dmf-lp": [], "lpf": []}
    for seed in range(6):
        rng = np.random.default_rng([2026, seed])
        clean = pictures_of(random_structure(shape, rng), ("contrast", "dense"), rng)
        taken = np.stack([degraded(p, name, 0.9, rng) for p, name in zip(clean, names, strict=True)])
        target = fusion.fuse(volumes_of(clean, names), lpf).array
        for kind, fuser in (("dmf-lp", fusion.DMFLPConfig(match="none")), ("lpf", lpf)):
            errors[kind].append(float(np.square(fusion.fuse(volumes_of(taken, names), fuser).array - target).mean()))
    assert np.mean(errors["dmf-lp"]) < np.mean(errors["lpf"])


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


def test_real_pairs_keep_more_of_both_sources_than_the_maximum_does(data: Path) -> None:
    """CT and MRI of patients whose pictures nobody looked at while it was made."""
    folder = data / "fusion" / "harvard" / "CT-MRI"
    names = sorted(p.name for p in (folder / "CT").iterdir() if p.stem[:-3] not in {"28", "41"})[::16]
    gains = {"VIF": [], "SCD": [], "edges_lost": []}
    for name in names:
        pair = [np.asarray(Image.open(folder / kind / name).convert("L"), np.float64) for kind in ("CT", "MRI")]
        sources = volumes_of(np.stack(pair)[:, None], ("CT", "MRI"))
        fused = fusion.fuse(sources, fusion.DMFLPConfig(match="none")).channel()[0]
        ours, highest = np.clip(np.rint(fused), 0, 255), np.maximum(*pair)
        for figure in ("VIF", "SCD"):
            gains[figure].append(evaluate(ours, pair)[figure] - evaluate(highest, pair)[figure])
        lost = [sum(per_source(f, pair)["edges_lost"]) for f in (ours, highest)]
        gains["edges_lost"].append(lost[1] - lost[0])
    assert all(np.mean(values) > 0 for values in gains.values())
