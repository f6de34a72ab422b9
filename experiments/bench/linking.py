"""Linking beside other tools, on real lineages with drop-outs and false detections: scores, CPU time and memory.

    python -m experiments.bench.linking --out results/bench/linking.csv --peers-python VENV/bin/python …

A case is a lineage (or ``synthetic``), after a colon which frames are kept (``Pm05:5``: every fifth), and what else is
done to it: ``+merge`` (2 % of the detections swallow their neighbour), ``-novolume``, ``-raw`` (nothing dropped or
added). Cases and scores come from the folder ``bench`` beside the data (FUSETRACK_DATA). Our kinds run with their
defaults; a peer with the best, by edge F1 on the scored case itself, of a few settings chosen by hand: that favours it.
Each tool is a process of its own on one thread; a peer that no interpreter has is left out, and the table says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import tracking3d
from experiments.bench.linking_case import Case, diameter, made
from experiments.bench.linking_peers import Setting, Tool, interpreters, ours, peers, run
from tracking3d.link.literal import LiteralLinkerConfig
from volumes.atomic import write_text

log = logging.getLogger(__name__)

CASES = ("Pm03", "Pm05", "Pm07", "Pm08", "Pm09", "Pm05:3", "Pm05:5", "Pm08:5", "drosophila", "drosophila:5", "T", "B")
SCORES = {"F1": "edge_F1", "false match": "false_match", "LNK": "LNK", "Div F1": "div_F1", "Div F1 ±1": "div_F1_tol1"}


@dataclass(frozen=True)
class Row:
    """One tool on one case; NaN where it gave nothing."""

    case: str
    seed: int
    tool: str
    setting: str
    detections: int
    scores: Mapping[str, float]
    cpu_s: float = float("nan")
    process_cpu_s: float = float("nan")
    peak_mb: float = float("nan")

    def cells(self) -> dict[str, str]:
        """The row as text, by column."""
        figures = {name: (self.scores.get(key, float("nan")), 4) for name, key in SCORES.items()}
        figures |= {"CPU s": (self.cpu_s, 2), "process CPU s": (self.process_cpu_s, 2), "MB": (self.peak_mb, 0)}
        return {
            "case": self.case,
            "seed": str(self.seed),
            "tool": self.tool,
            "setting": self.setting,
            "detections": str(self.detections),
            **{name: "–" if value != value else f"{value:.{digits}f}" for name, (value, digits) in figures.items()},
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and write the table as CSV, and as markdown beside it."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(options.data)
    cases, scorer = (module_at(folder.parent / "bench" / f"{name}.py") for name in ("linking_cases", "linking_score"))
    python, missing = interpreters(options.peers_python)
    rows: list[Row] = []
    rules: list[dict[str, str]] = []
    command = f"python -m experiments.bench.linking {' '.join(arguments if arguments is not None else sys.argv[1:])}"
    for name, seed in ((name, seed) for name in options.cases for seed in options.seeds):
        case = made(cases, folder, name, seed)
        tools = [*ours(case, name, options.motions), *peers(case, python)]
        for tool in (tool for tool in tools if not options.tools or tool.name in options.tools):
            rows.append(scored(Row(name, seed, tool.name, "", len(case["T"]), {}), tool, case, scorer, options.limit))
            log.info("%s", rows[-1].cells())
        rules.append(refused(case, name, seed))
        _write(rows, rules, missing, Path(options.out), command)


def scored(row: Row, tool: Tool, case: Case, scorer: ModuleType, limit_s: float) -> Row:
    """The row of a tool's best setting, or of why there is none.

    The setting is run twice in a process: the second run is the CPU time of linking alone, with nothing left to compile
    or import; all but the second run, that of the whole process.
    """
    try:
        best = _best(tool, case, scorer, limit_s)
        found = run(replace(tool, settings=(best, best)), case, limit_s)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        reason = f"stopped after {limit_s:g} s" if isinstance(error, subprocess.TimeoutExpired) else f"failed: {error}"
        return replace(row, setting=reason)
    scores = scorer.score(case, found.links[1].tolist())
    return replace(
        row,
        tool=f"{tool.name} {found.version}" if tool.name == tool.program else tool.name,
        setting=_shown(best),
        scores={key: float(scores[key]) for key in SCORES.values()},
        cpu_s=found.cpu_s[1],
        process_cpu_s=found.process_cpu_s - found.cpu_s[1],
        peak_mb=found.peak_mb,
    )


def _best(tool: Tool, case: Case, scorer: ModuleType, limit_s: float) -> Setting:
    """The setting of the highest edge F1, the first of equals."""
    if len(tool.settings) == 1:
        return tool.settings[0]
    scores = [scorer.score(case, links.tolist())["edge_F1"] for links in run(tool, case, limit_s).links]
    return tool.settings[scores.index(max(scores))]


def _shown(setting: Setting) -> str:
    """A setting as text: its keys and values but the kind, numbers to three digits."""
    parts = {key: round(value, 3) if isinstance(value, float) else value for key, value in setting.items()}
    parts.pop("kind", None)
    return json.dumps(parts).strip("{}").replace('"', "") or "defaults"


def refused(case: Case, name: str, seed: int) -> dict[str, str]:
    """What each rule of the review does to a case: counts, by rule."""
    cells = tracking3d.Detections.of(case["T"], case["C"], case["V"])
    _, report = LiteralLinkerConfig(diameter_um=diameter(case, name)).build().trace(cells)
    counts = asdict(report)
    return {"case": name, "seed": str(seed), "D̄": f"{counts.pop('diameter_um'):.1f}"} | {
        key: str(value) for key, value in counts.items()
    }


def _write(
    rows: Sequence[Row], rules: Sequence[Mapping[str, str]], missing: Mapping[str, str], out: Path, command: str
) -> None:
    table = [row.cells() for row in rows]
    left_out = [f"{peer} is left out: {reason}." for peer, reason in missing.items()]
    lines = [f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {_machine()}", *left_out, "", *_markdown(table)]
    lines += ["", "What each rule of `literal` did:", "", *_markdown(rules)]
    write_text(out.with_suffix(".md"), "\n".join(lines) + "\n")
    text = [[*table[0]], *([*row.values()] for row in table)]
    write_text(out, "".join(f"{','.join(_quoted(cell) for cell in row)}\n" for row in text))


def _markdown(table: Sequence[Mapping[str, str]]) -> list[str]:
    header = f"| {' | '.join(table[0])} |", f"|{'---|' * len(table[0])}"
    return [*header, *(f"| {' | '.join(row.values())} |" for row in table)]


def _quoted(cell: str) -> str:
    return f'"{cell}"' if "," in cell else cell


def _machine() -> str:
    return f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, one thread a tool"


def module_at(path: Path) -> ModuleType:
    """A Python file beside the data as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path}: the benchmark's cases and scores are missing; set FUSETRACK_DATA")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results/bench/linking.csv")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--tools", nargs="+", default=[], help="names of the table's tools; left out: all")
    parser.add_argument("--motions", action="store_true", help="also the kind kalman with every motion model")
    parser.add_argument("--peers-python", nargs="+", default=[], help="interpreters of environments that hold peers")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that one tool may take on a case")
    default = os.environ.get("FUSETRACK_DATA", repository.parent / "shared" / "data")
    parser.add_argument("--data", default=default, help="the data folder; bench/ lies beside it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
