"""How fast fusion is, and how much memory it takes: pictures and volumes of two sources, each in a process of its own.

    python -m experiments.bench.fusion_speed --out results/bench/fusion_speed.csv

One thread (``--threads``). The first call, after the process has started, loads libraries, weights and compiled code;
the warm one is the median of the calls after it. Peak memory is the most that the process has held, its libraries and
sources included. Time does not depend on what is shown: sources are noise of two voxels' grain. Peak memory of a GPU
(``--device cuda``) is that of the tensors there.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.record_csv import records_as_csv
from volumes.atomic import write_text

if TYPE_CHECKING:
    from fusion import Fuser

log = logging.getLogger(__name__)

SHAPES = {"256²": (1, 256, 256), "64³": (64, 64, 64), "128³": (128, 128, 128), "256³": (256, 256, 256)}
DEFAULT = ("256²", "128³", "256³")
WARM = {"256²": 9, "64³": 3, "128³": 3, "256³": 1}
"""Calls after the first."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Parameters
    ----------
    kind : ``lpf`` or ``dmf-lp``.
    size : one of :data:`SHAPES`.
    precision, steps : of ``dmf-lp``.
    """

    kind: str
    size: str
    precision: Precision = "float32"
    steps: int = 1

    @property
    def name(self) -> str:
        """Without the size."""
        return self.kind if self.kind == "lpf" else f"{self.kind}, {self.precision}, {self.steps} step(s)"


@dataclass(frozen=True)
class Where:
    """How it is measured: threads, device, and the weights of ``dmf-lp``; None for those that come with the package."""

    threads: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    weights: Path | None = None


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Parameters
    ----------
    name, size : of what.
    first_s, warm_s : seconds of the first call, and of the median of those after it.
    peak_mb : most memory of the process; on a GPU of its tensors.
    idle_mb : most memory of the process before the first call, with its sources.
    """

    name: str
    size: str
    first_s: float
    warm_s: float
    peak_mb: float
    idle_mb: float

    @property
    def ns_a_voxel(self) -> float:
        """Of the warm call."""
        return 1e9 * self.warm_s / math.prod(SHAPES[self.size])


def cases(sizes: Sequence[str], steps: Sequence[int]) -> list[Case]:
    """LP-F, and ``dmf-lp`` in either precision and of each number of steps, at these sizes."""
    ours = [("dmf-lp", precision, number) for precision in ("float32", "bfloat16") for number in steps]
    kinds: list[tuple[str, Precision, int]] = [("lpf", "float32", 1), *ours]  # type: ignore[list-item]
    return [Case(kind, size, precision, number) for kind, precision, number in kinds for size in sizes]


def measured(case: Case, where: Where) -> Speed:
    """One case, in a process of its own."""
    for name in THREADS:
        os.environ[name] = str(where.threads)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(measure, case, where).result()


def measure(case: Case, where: Where) -> Speed:
    """One case, in this process."""
    from experiments.bench.registration_process import peak_mb
    from volumes import from_array

    rng = np.random.default_rng(0)
    shape = SHAPES[case.size]
    coarse = [rng.random([-(-n // 2) for n in shape], np.float32) for _ in range(2)]
    grown = [np.kron(c, np.ones((2, 2, 2), np.float32))[tuple(map(slice, shape))] for c in coarse]
    sources = [from_array(a, (1, 1, 1), modality=m) for a, m in zip(grown, ("CT", "MRI"), strict=True)]
    idle, fuser, seconds = peak_mb(), _fuser(case, where), []
    for _ in range(1 + WARM[case.size]):
        start = time.perf_counter()
        fuser.fuse(sources)
        seconds.append(time.perf_counter() - start)
    return Speed(case.name, case.size, seconds[0], statistics.median(seconds[1:]), _peak(where) or peak_mb(), idle)


def table(found: Sequence[Speed]) -> str:
    """Markdown; growth is the time a voxel over that of the same fuser at the size before."""
    head = "| fuser | size | first call s | warm s | ns a voxel | growth | peak MB | before the first call |\n"
    lines, before = [head, f"{'|---' * 8}|\n"], None
    for one in found:
        same = before is not None and before.name == one.name and not one.size.endswith("²")
        grew = f"{one.ns_a_voxel / before.ns_a_voxel:.2f}" if same and before is not None else "–"
        times = f"{one.first_s:.3g} | {one.warm_s:.3g} | {one.ns_a_voxel:.0f} | {grew}"
        lines.append(f"| {one.name} | {one.size} | {times} | {one.peak_mb:.0f} | {one.idle_mb:.0f} |\n")
        before = None if one.size.endswith("²") else one
    return "".join(lines)


def _fuser(case: Case, where: Where) -> Fuser:
    from fusion.diffusion.dmf_lp import DMFLPConfig
    from fusion.lpf import LPFConfig

    if case.kind == "lpf":
        return LPFConfig().build()
    import torch

    torch.set_num_threads(where.threads)
    return DMFLPConfig(weights=where.weights, steps=case.steps, precision=case.precision, device=where.device).build()


def _peak(where: Where) -> float:
    """MB of tensors on the GPU; 0 where there is none in use."""
    if where.device == "cpu":
        return 0.0
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    where = Where(options.threads, options.device, options.weights)
    found: list[Speed] = []
    for case in cases(options.sizes, options.steps):
        if case.kind not in options.kinds or (case.kind == "lpf" and where.device != "cpu"):
            continue
        found.append(measured(case, where))
        one = found[-1]
        log.info("%s, %s: first %.3g s, warm %.3g s, %.0f MB", one.name, one.size, one.first_s, one.warm_s, one.peak_mb)
        write_text(options.out, records_as_csv(Speed, found))
    head = f"{datetime.now(UTC):%Y-%m-%d}, {where.device}, {where.threads} thread(s)."
    write_text(options.out.with_suffix(".md"), f"{head}\n\n{table(found)}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the table goes beside it")
    parser.add_argument("--kinds", nargs="+", choices=("lpf", "dmf-lp"), default=("lpf", "dmf-lp"))
    parser.add_argument("--sizes", nargs="+", choices=[*SHAPES], default=DEFAULT)
    parser.add_argument("--steps", type=int, nargs="+", default=(1, 4), help="of dmf-lp")
    parser.add_argument("--weights", type=Path, help="of dmf-lp; left out: those that come with the package")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
