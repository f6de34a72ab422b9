"""Stage ``phantom``: a specimen is drawn, whose instruments are the sources of all that follows."""

from __future__ import annotations

from experiments.entries import Simulated
from experiments.run_folder import RunFolder
from experiments.stage import Stage

NAME = "phantom"


def phantom_stage(simulated: Simulated, folder: RunFolder) -> Stage:
    """Draws the phantom into the run's folder; its key holds the phantom's whole config and the code that draws it."""
    return Stage(
        NAME,
        simulated.config.model_dump_json(exclude={"title"}),
        (folder.phantom.name,),
        lambda: _draw(simulated, folder),
        code=("phantom",),
    )


def _draw(simulated: Simulated, folder: RunFolder) -> None:
    """All that was done before rests on another phantom: its markers go first, so that none of it passes for done."""
    from phantom.recording import write_phantom

    for marker in folder.markers():
        marker.unlink()
    write_phantom(simulated.config, folder.phantom)
