"""The weights that come along: small, described, and good on specimens that no training saw."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tracking3d
from experiments.training_config import load_training
from phantom.nuclei import made
from phantom.nuclei.recipe import Bodies, Optics, Recipe
from tracking3d.cell_scores import evaluate
from tracking3d.segment.network.architecture import architecture_of
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.heads import DIAMETER, HEADS
from tracking3d.segment.network.inference import SHIPPED
from volumes.volume import from_array
from volumes.weights import load_weights

FOLDER = SHIPPED.parent


def test_they_are_small_and_of_the_network_that_they_name() -> None:
    state, metadata = load_weights(SHIPPED)
    config = load_training(FOLDER / "cells.yaml")
    assert SHIPPED.stat().st_size < 2_700_000
    assert metadata["architecture"] == architecture_of(config.task.network)
    assert all(np.isfinite(tensor.float().numpy()).all() for tensor in state.values())


def test_the_bundle_s_metadata_describe_them() -> None:
    found = json.loads((FOLDER / "metadata.json").read_text())
    data = found["network_data_format"]
    assert data["outputs"]["pred"]["num_channels"] == len(data["outputs"]["pred"]["channel_def"]) == HEADS
    assert data["inputs"]["image"]["num_channels"] == 1
    required = {"version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors"}
    assert required <= set(found)
    assert str(int(DIAMETER)) in found["description"]


def test_the_log_ends_where_the_weights_were_taken() -> None:
    lines = [json.loads(line) for line in (FOLDER / "cells.jsonl").read_text().splitlines()]
    last = max(line["round"] for line in lines)
    steps = [line["step"] for line in lines if line["round"] == last and "loss" in line]
    assert steps == sorted(steps)
    assert steps[-1] == load_weights(SHIPPED)[1]["step"]


def test_the_card_names_its_files() -> None:
    card = (FOLDER / "cells.md").read_text()
    for path in FOLDER.iterdir():
        if path.suffix in (".safetensors", ".yaml", ".jsonl", ".json"):
            assert f"`{path.name}`" in card
    for word in ("licence", "Limits", "1135"):
        assert word in card


@pytest.mark.parametrize(("spacing", "factor"), [(0.5, 1.0), (2.0, 4.0)])
def test_they_find_nuclei_of_any_unit_without_being_told_how_large(spacing: float, factor: float) -> None:
    bodies = Bodies(14.0, 1.15, size_spread=0.1, elongation=0.15)
    recipe = Recipe(bodies=bodies, optics=Optics(photons=60.0, read=0.05))
    one = made(recipe, (56, 64, 64), np.random.default_rng(3))
    image = from_array(100 + 900 * one.image, (spacing,) * 3, modality="fluorescence")
    truth = from_array(one.labels.astype(np.uint16), (spacing,) * 3, modality="labels")
    found = CellNetworkConfig().build().cells(image)
    assert found.diameter_um == pytest.approx(7.0 * factor, rel=0.2)
    # Of what a face cuts off little may be left; that is nobody's to find.
    assert evaluate(truth, found.labels, min_voxels=400, boundaries=False, resamples=1)["AP"].value > 0.8


def test_noise_alone_holds_no_cell() -> None:
    noise = np.random.default_rng(0).poisson(20, (40, 48, 48)).astype(np.float32)
    labels = tracking3d.segment(from_array(noise, (1.0, 1.0, 1.0), modality="fluorescence"), CellNetworkConfig())
    assert labels.channel().max() <= 1
