"""The process that a linker's speed is measured in: it starts, imports, reads, links, writes, and ends.

    python linking_process.py fusetrack|trackpy DETECTIONS.npz TRACKS.npz [search_range memory velocity]

DETECTIONS.npz holds T (n,) frames, C (n, 3) centres and V (n,) volumes; TRACKS.npz gets the links (e, 2). The last line
of the output is the process's CPU time in seconds and its peak memory in MB.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def main(arguments: Sequence[str]) -> None:
    """Link one table."""
    tool, source, out, *setting = arguments
    with np.load(source) as archive:
        t, zyx, volume = archive["T"], archive["C"], archive["V"]
    edges = _ours(t, zyx, volume) if tool == "fusetrack" else _trackpy(t, zyx, *map(float, setting))
    np.savez(out, edges=edges)
    import resource

    spent = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    sys.stdout.write(f"{spent.ru_utime + spent.ru_stime:.3f} {peak / 1024:.0f}\n")


def _ours(t: NDArray[np.int64], zyx: NDArray[np.float64], volume: NDArray[np.float64]) -> NDArray[np.int64]:
    import tracking3d

    return tracking3d.link(tracking3d.Detections.of(t, zyx, volume)).edges


def _trackpy(
    t: NDArray[np.int64], zyx: NDArray[np.float64], search_range: float, memory: float, velocity: float
) -> NDArray[np.int64]:
    import pandas as pd
    import trackpy
    from trackpy.predict import NearestVelocityPredict

    trackpy.quiet()
    table = pd.DataFrame(zyx, columns=["z", "y", "x"]).assign(frame=t, row=np.arange(len(t)))
    link = NearestVelocityPredict().link_df if velocity else trackpy.link
    linked = link(
        table,
        search_range,
        pos_columns=["z", "y", "x"],
        memory=int(memory),
        adaptive_stop=search_range / 20,
        adaptive_step=0.9,
    ).sort_values(["particle", "frame"])
    row, particle = linked["row"].to_numpy(), linked["particle"].to_numpy()
    same = particle[1:] == particle[:-1]
    return np.column_stack([row[:-1][same], row[1:][same]])


if __name__ == "__main__":
    main(sys.argv[1:])
