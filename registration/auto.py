"""Registration that picks motion, contrast and search by what the two volumes are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from registration.contrast import contrast
from registration.defaults import Choice, choose
from registration.result import Registered
from volumes.shapes import Mask
from volumes.transform import Transform
from volumes.volume import Volume

log = logging.getLogger(__name__)


class AutoConfig(BaseModel):
    """The defaults of the pair's modalities, see :mod:`registration.defaults`.

    Parameters
    ----------
    fixed_channel, moving_channel : which channels are registered, by position or name.
    seed : of the samples' places.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"
    fixed_channel: int | str = 0
    moving_channel: int | str = 0
    seed: int = Field(default=0, ge=0)

    def build(self) -> Auto:
        """The registrar."""
        return Auto(self)


@dataclass(frozen=True)
class Auto:
    """Registers two volumes by the defaults of their modalities.

    Parameters
    ----------
    config : the channels and the seed.
    """

    config: AutoConfig

    def chosen(self, fixed: Volume, moving: Volume) -> Choice:
        """What :meth:`register` will do with two volumes.

        Raises
        ------
        ContentError : no such channel.
        """
        return choose(fixed, moving, self.config.fixed_channel, self.config.moving_channel)

    def register(
        self,
        fixed: Volume,
        moving: Volume,
        *,
        fixed_mask: Mask | None = None,
        moving_mask: Mask | None = None,
        start: Transform | None = None,
    ) -> Registered:
        """The transform from fixed to moving points; the log says what was chosen.

        Parameters
        ----------
        fixed, moving : volumes of one specimen; one may be a single plane.
        fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
        start : a transform to begin from, instead of the search.

        Raises
        ------
        ContentError : a channel that is not there, or a volume that cannot be registered.
        HeaderError : fields of view so different that one unit must be wrong.
        TransformError : a start that the chosen registrar cannot begin from.
        """
        choice = self.chosen(fixed, moving)
        log.info("registering %s", choice)
        registrar = choice.registrar.model_copy(update={"seed": self.config.seed}).build()
        return registrar.register(
            contrast(fixed, choice.fixed, self.config.fixed_channel),
            contrast(moving, choice.moving, self.config.moving_channel),
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
            start=start,
        )
