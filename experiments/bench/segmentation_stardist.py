"""StarDist 3-D beside ours: trained for a stated CPU time on the same made-up nuclei, on the same real volumes.

    OMP_NUM_THREADS=1 python -m experiments.bench.segmentation_stardist --stardist PYTHON --train-s 250
    … --halves                    # instead, from one half of GoNuclear 1135 to the other, both ways

PYTHON is the interpreter of an environment with stardist and tensorflow-cpu, called as a process of one thread.
StarDist comes without weights for 3-D, so it is trained here, from a seed, on ``phantom.nuclei`` with a third of real
shapes; a typical nucleus is 14 voxels across there. It has no notion of a cell's size: every volume is brought to 14
voxels a cell by the size that is true (the median of the truth's), which favours it; labels are brought back to the
nearest voxel. The threshold of probability is optimised on two made-up volumes, at an overlap of 0.3 between stars.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.segmentation import MIN_VOXELS, SHOWN, Row, write
from experiments.bench.segmentation_transfer import LEARNT, WAYS, halves
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from phantom.nuclei import random_specimen
from phantom.nuclei.shapes import real_shapes
from tracking3d.cell_scores import Estimate, interval, outcomes, pooled, scores
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

log = logging.getLogger(__name__)

ACROSS, SIDE, DRAWN, HELD_OUT = 14, 64, 96, 6
"""Voxels across a cell; side, number, and number held out, of the made-up volumes."""
REAL = 0.35
"""Share of them that take real shapes."""
TOOL = """
import json, sys, time
from pathlib import Path
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.keras.utils.set_random_seed(0)
from csbdeep.utils import normalize
from stardist import Rays_GoldenSpiral
from stardist.models import Config3D, StarDist3D

folder, seconds, held = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
made = np.load(folder / "made.npz")
images, labels = [normalize(i, 1, 99.8) for i in made["images"]], list(made["labels"])
side = min(48, min(min(i.shape) for i in images) // 8 * 8)
config = Config3D(rays=Rays_GoldenSpiral(64), grid=(2, 2, 2), n_channel_in=1, train_patch_size=(side,) * 3,
    train_batch_size=2, unet_n_depth=2, train_learning_rate=1e-3, train_tensorboard=False)
model = StarDist3D(config, name="made", basedir=str(folder / "models"))
model.prepare_for_training()
start = time.process_time()

class Budget(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if time.process_time() - start > seconds:
            self.model.stop_training = True

def bent(x, y, rng=np.random.default_rng(0)):
    turned = rng.permutation(3)
    x, y = x.transpose(turned), y.transpose(turned)
    for axis in range(3):
        if rng.random() < 0.5:
            x, y = np.flip(x, axis), np.flip(y, axis)
    return x * rng.uniform(0.6, 1.6) + rng.uniform(-0.2, 0.2), y

model.callbacks.append(Budget())
history = model.train(images[held:], labels[held:], validation_data=(images[:held], labels[:held]), epochs=400,
    steps_per_epoch=25, augmenter=bent)
trained = time.process_time() - start
model.optimize_thresholds(images[:2], labels[:2], nms_threshs=[0.3], iou_threshs=[0.5])
times = {}
for file in sorted(folder.glob("*.case.npy")):
    image = normalize(np.load(file), 1, 99.8)
    model.predict_instances(image, verbose=False)
    start = time.process_time()
    found, _ = model.predict_instances(image, verbose=False)
    times[file.name] = time.process_time() - start
    np.save(folder / file.name.replace(".case", ".found"), found.astype(np.uint32))
steps = 25 * len(history.history["loss"])
print(json.dumps({"trained": trained, "steps": steps, "times": times}))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train StarDist, let it segment the cases, and write the rows as the benchmark of the kinds does."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = Path(options.data)
    if options.halves:
        rows = [row for way in WAYS for row in _half(way, read_case(LEARNT, data), options)]
    else:
        cases = {name: read_case(name, data) for name in options.cases}
        rows = _learnt({name: (case, _across(case)) for name, case in cases.items()}, made_up(options.seed), options)
    for row in rows:
        log.info("%s", row.cells())
    words = " ".join(arguments or ())
    write(rows, Path(options.out), f"python -m experiments.bench.segmentation_stardist {words}")


def _half(way: str, case: Case, options: argparse.Namespace) -> list[Row]:
    """From one half of a volume to the other; both are shown at the size that cells have in the whole."""
    learnt, other = halves(case, WAYS.index(way))
    across = _across(case)
    return _learnt({f"{LEARNT}, {way}": (other, across)}, as_drawn(learnt, across), options)


def _learnt(
    cases: dict[str, tuple[Case, float]], drawn: tuple[AnyArray, AnyArray], options: argparse.Namespace
) -> list[Row]:
    """A row for each case and its cells' diameter, after a training on images and labels."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.savez(folder / "made.npz", images=drawn[0], labels=drawn[1])
        for name, (case, across) in cases.items():
            for i, image in enumerate(case.images):
                np.save(folder / f"{name}-{i}.case.npy", resized(image.channel(0), _shape(across, image)))
        told = _run(options.stardist, folder, options.train_s, min(HELD_OUT, len(drawn[0]) // 2))
        log.info("trained %.0f CPU s, %d steps", told["trained"], told["steps"])
        return [_row(name, case, folder, told) for name, (case, _) in cases.items()]


def as_drawn(half: Case, across: float) -> tuple[AnyArray, AnyArray]:
    """A labelled half as images and labels to learn from, twice: what is learnt from is what is validated on."""
    image, truth = half.images[0], half.truths[0]
    shape = _shape(across, image)
    shown, labels = resized(image.channel(0), shape), restored(truth.channel(0), shape)
    return np.stack([shown] * 2), np.stack([labels] * 2).astype(np.uint16)


def made_up(seed: int) -> tuple[AnyArray, AnyArray]:
    """Images and labels (n, z, y, x) to learn from."""
    rng, shapes = np.random.default_rng(seed), real_shapes()
    drawn = [random_specimen(rng, (SIDE, SIDE, SIDE), shapes=shapes, real=REAL) for _ in range(DRAWN)]
    labels = np.stack([specimen.labels for specimen in drawn]).astype(np.uint16)
    return np.stack([specimen.image for specimen in drawn]), labels


def resized(image: AnyArray, shape: Shape3) -> AnyArray:
    """An image on a grid of another number of voxels over the same field, linearly."""
    from scipy.ndimage import zoom

    factors = [new / old for new, old in zip(shape, image.shape, strict=True)]
    out: AnyArray = zoom(image.astype(np.float32), factors, order=1, grid_mode=True, mode="nearest")
    return out


def restored(labels: AnyArray, shape: Shape3) -> AnyArray:
    """Labels back on a grid of that shape over the same field, from the nearest voxel."""
    index = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    ]
    return labels[np.ix_(*index)]


def _across(case: Case) -> float:
    """The median diameter of the true cells, µm."""
    voxels = np.concatenate([np.unique(t.array[t.array > 0], return_counts=True)[1] for t in case.truths])
    return float(np.cbrt(6 / np.pi * np.median(voxels[voxels >= MIN_VOXELS]) * case.truths[0].grid.voxel_um3))


def _shape(across: float, image: Volume) -> Shape3:
    """The number of voxels at which cells of that diameter (µm) are 14 across."""
    z, y, x = (
        max(1, round(n * s * ACROSS / across)) for n, s in zip(image.grid.shape, image.grid.spacing_um, strict=True)
    )
    return z, y, x


def _row(name: str, case: Case, folder: Path, told: dict[str, Any]) -> Row:
    tables = []
    for i, (image, truth) in enumerate(zip(case.images, case.truths, strict=True)):
        found = restored(np.load(folder / f"{name}-{i}.found.npy"), image.grid.shape)
        tables.append(outcomes(truth, truth.with_data(found), MIN_VOXELS))
    table = pooled(tables)
    values, (low, high) = scores(table), interval(table)
    cpu_s = sum(seconds for file, seconds in told["times"].items() if file.startswith(f"{name}-"))
    estimates = {score: Estimate(values[score], low[score], high[score]) for score in SHOWN}
    note = f"{case.note}; trained {told['trained']:.0f} CPU s ({told['steps']} steps); true cell size given"
    counts = int(table.true.sum()), int(table.found.sum())
    return Row(name, "StarDist 3-D", estimates, cpu_s / case.voxels * 1e6, *counts, note)


def _run(python: str, folder: Path, seconds: float, held_out: int) -> dict[str, Any]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    command = [python, "-c", TOOL, str(folder), str(seconds), str(held_out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **one})  # noqa: S603
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _options(arguments: Sequence[str] | None) -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("FUSETRACK_DATA", "../shared/data"))
    parser.add_argument("--stardist", default=sys.executable)
    parser.add_argument("--train-s", type=float, default=250.0)
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=[*CASES])
    parser.add_argument("--halves", action="store_true", help="from half to half of one real volume")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="results/bench/segmentation_stardist.csv")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
