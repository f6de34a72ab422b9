"""The ascent of pixels gets ahead of where it starts, stays where a network's would, and asks what the config says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.bench import fusion_frontier as bench
from experiments.bench.fusion_frontier import Ascended
from experiments.bench.fusion_pairs import SEEN
from experiments.bench.fusion_rows import read_rows
from fusion.diffusion.objective_config import ObjectiveConfig
from fusion.metrics import evaluate, lost_edges
from volumes import Volume, from_array
from volumes.errors import ConfigError

CONFIG = Path(__file__).parents[2] / "configs" / "fusion" / "dmf_lp_show.yaml"


def drawn(seed: int, size: int = 48) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 2)
    return np.asarray(255 * (smooth - smooth.min()) / np.ptp(smooth), np.float32)


def volumes_of(*pictures: np.ndarray) -> list[Volume]:
    return [from_array(picture[None], (1, 1, 1), modality="MRI") for picture in pictures]


@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_pixels_stay_where_those_of_the_network_may_lie(residual: float) -> None:
    a, b = drawn(0), drawn(1)
    found = Ascended(ObjectiveConfig(gains=1, edges=1), residual, 8).fuse(volumes_of(a, b)).channel()[0]
    low, high = np.minimum(a, b), np.maximum(a, b)
    beyond = residual * (high - low)
    assert (found >= np.maximum(low - beyond, 0) - 0.01).all()
    assert (found <= np.minimum(high + beyond, 255) + 0.01).all()
    assert np.abs(found - high).max() > 1


def test_each_weight_raises_what_it_asks_for() -> None:
    a = drawn(0)
    b = 0.4 * drawn(1)
    a[10:38, 10:38] = 255  # where it is saturated, the maximum hides the other source
    sources = [a, b]
    scores = {}
    for name in ("differences", "edges"):
        weights = {"differences": 0.0, "fidelity": 0.0, "transfer": 0.0, "similarity": 0.0, "edges": 0.0, name: 3.0}
        fused = Ascended(ObjectiveConfig(gains=1, **weights), 0.5, 30).fuse(volumes_of(*sources)).channel()[0]
        rounded = np.clip(np.rint(fused), 0, 255)
        scores[name] = evaluate(rounded, sources)["SCD"], lost_edges(rounded, sources)[1]
    scd, lost = (evaluate(np.maximum(a, b), sources)["SCD"], lost_edges(np.maximum(a, b), sources)[1])
    assert lost > 0.2
    assert scores["differences"][0] > scd + 0.05
    assert scores["edges"][1] < 0.5 * lost


def test_it_writes_rows_and_tables_of_patients_that_were_looked_at(tmp_path: Path) -> None:
    for kind in ("CT", "MRI"):
        place = tmp_path / "fusion" / "harvard" / "CT-MRI" / kind
        place.mkdir(parents=True)
        for number, patient in enumerate((*SEEN["CT"], "3")):
            picture = drawn(10 * number + len(kind)).astype(np.uint8)
            Image.fromarray(picture).save(place / f"{patient}001.png")
    out = tmp_path / "frontier.csv"
    given = ["--data", str(tmp_path), "--sets", "CT", "--pairs", "1", "--iterations", "2"]
    bench.main([str(CONFIG), "--out", str(out), *given])
    rows = read_rows(out)
    assert [row.kind for row in rows] == ["max", "lpf", "dmf-lp", "ascended"]
    assert {row.pair for row in rows} == {f"{SEEN['CT'][0]}001.png"}
    assert "| ascended |" in out.with_suffix(".md").read_text(encoding="utf-8")


def test_a_config_of_another_network_is_refused(tmp_path: Path) -> None:
    prior = CONFIG.with_name("prior.yaml")
    with pytest.raises(ConfigError, match=r"prior\.yaml"):
        bench.main([str(prior), "--out", str(tmp_path / "x.csv")])
