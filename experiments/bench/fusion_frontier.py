"""How far any picture can get: the pixels of the fused picture itself, ascended on what a network is trained for.

    python -m experiments.bench.fusion_frontier configs/fusion/dmf_lp_show.yaml --out results/bench/fusion_frontier.csv

A few pairs of the patients that were looked at; beside them the maximum, LP-F and the trained network. No network has
to find the picture here, so what falls short here as well is due to figures that pull against each other, and what does
not to the network and its training. The pixels stay where those of the network may lie: within minₘ Sₘ − ρ · spread and
maxₘ Sₘ + ρ · spread. A lower bound: more iterations get a little farther.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.fusion_kinds import BASE, OURS, PYRAMID, Named, named
from experiments.bench.fusion_pairs import SETS, Pair, pairs
from experiments.bench.fusion_rows import row_of, write_rows
from experiments.bench.fusion_summary import as_text, lines
from experiments.tasks.dmf_lp import DMFLPTaskConfig
from experiments.training_config import load_training
from fusion.diffusion.objective_config import ObjectiveConfig
from volumes import Volume
from volumes.atomic import write_text
from volumes.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

ASCENDED = "ascended"
LEVELS = 255
FIRST, LAST = 0.02, 0.002
"""Step of the first and of the last iteration, on a scale of 1."""
ENDS = (0.25, 0.8)
"""Which part of a set's slices is looked at: those near its ends show little of either source."""


@dataclass(frozen=True)
class Ascended:
    """A fuser that knows no rule but the objective, and ascends it from the maximum (Adam, Kingma & Ba 2015).

    Parameters
    ----------
    objective : its weights of gains and edges; the others play no part.
    residual : ρ.
    iterations : of the ascent.
    """

    objective: ObjectiveConfig
    residual: float
    iterations: int

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, of sources on 0–255."""
        import torch

        sources = torch.from_numpy(np.stack([volume.channel() for volume in volumes]))[None] / LEVELS
        low, high = sources.amin(1, keepdim=True), sources.amax(1, keepdim=True)
        beyond = self.residual * (high - low)
        least, most = (low - beyond).clamp_min(0), (high + beyond).clamp_max(1)
        pixels = high.clone().requires_grad_()
        steps = torch.optim.Adam([pixels], FIRST, betas=(0.9, 0.99))
        for i in range(self.iterations):
            steps.param_groups[0]["lr"] = FIRST + (LAST - FIRST) * i / self.iterations
            steps.zero_grad()
            self._loss(pixels, sources).backward()  # type: ignore[no-untyped-call]
            steps.step()
            with torch.no_grad():
                pixels.copy_(torch.minimum(torch.maximum(pixels, least), most))
        return volumes[0].with_data(np.asarray(LEVELS * pixels.detach()[0].numpy(), np.float32))

    def _loss(self, pixels: Tensor, sources: Tensor) -> Tensor:
        import torch

        from fusion.diffusion.objective import objective

        alone = {"target": 0.0, "entropy": 0.0, "boundary_entropy": 0.0}
        clean = torch.ones(1, dtype=torch.bool)
        terms = objective(self.objective.model_copy(update=alone), pixels, pixels.detach(), sources, clean)
        return torch.stack([*terms.values()]).sum()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    task = load_training(options.config).task
    if not isinstance(task, DMFLPTaskConfig):
        raise ConfigError("trains no such network", field="config", value=str(options.config))
    ascended = Named(ASCENDED, Ascended(task.objective, task.network.residual, options.iterations))
    fusers, rows, tables = [*named((BASE, PYRAMID, OURS), options.weights), ascended], [], []
    for other in options.sets:
        own = [row_of(pair, fuser) for pair in _chosen(options.data, other, options.pairs) for fuser in fusers]
        rows += own
        write_rows(options.out, rows)
        tables.append(as_text(lines(own, "seen")))
        log.info(tables[-1])
    write_text(options.out.with_suffix(".md"), "\n".join(tables))


def _chosen(data: Path, other: str, number: int) -> list[Pair]:
    own = pairs(data, other, parts=("seen",))
    first, last = (end * len(own) for end in ENDS)
    return [own[int(i)] for i in np.linspace(first, last, number)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="of the training whose objective is ascended")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; the tables go beside it")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--pairs", type=int, default=2, help="of each set")
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--weights", type=Path, help="of dmf-lp; left out: those that come with the package")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
