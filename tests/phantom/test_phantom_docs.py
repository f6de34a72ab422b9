"""The pages on phantoms tell every key of a config, and its default where it has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from phantom.anatomy.embryo import EmbryoConfig
from phantom.anatomy.zebrafish import ZebrafishConfig
from phantom.cells.config import CellsConfig
from phantom.cells.flow import FlowConfig
from phantom.cells.lineage_motion import LineageMotionConfig
from phantom.cells.migration import MigrationConfig
from phantom.config import PhantomConfig
from phantom.instruments.brightfield import BrightfieldConfig
from phantom.instruments.ct import CTConfig
from phantom.instruments.fluorescence import ConfocalConfig, LightSheetConfig
from phantom.instruments.instrument import InstrumentConfig
from phantom.instruments.mri import MRIConfig
from phantom.instruments.swir import SWIRConfig, SWIRProjectionConfig
from phantom.samples import SamplesConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPECIMEN = (PhantomConfig, EmbryoConfig, ZebrafishConfig, CellsConfig, FlowConfig, MigrationConfig, LineageMotionConfig)
MICROSCOPES = (LightSheetConfig, ConfocalConfig, BrightfieldConfig)
INSTRUMENTS = (InstrumentConfig, *MICROSCOPES, SWIRConfig, SWIRProjectionConfig, CTConfig, MRIConfig)
ALL = [
    *((model, "phantom.md") for model in (*SPECIMEN, SamplesConfig)),
    *((m, "phantom-instruments.md") for m in INSTRUMENTS),
]
CODE = re.compile(r"`([^`]+)`")


def _told(page: str) -> dict[str, set[str]]:
    """Defaults by key, from all rows whose keys stand in their first two cells; several keys share a row in order."""
    out: dict[str, set[str]] = {}
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        for at in (0, 1):
            if line.startswith("|") and len(cells) > at + 1:
                keys = CODE.findall(cells[at])
                values = re.findall(r"`[^`]+`|\([^)]*\)|[^,\s]+", cells[at + 1])
                for k, key in enumerate(keys):
                    out.setdefault(key, set()).add((values[k] if k < len(values) else values[0]).strip("`"))
    return out


def _same(told: str, default: Any) -> bool:
    if default is None:
        return told in ("–", "needed")
    if isinstance(default, BaseModel):
        return told == f"kind: {default.model_dump()['kind']}"
    told = told.replace("(", "[").replace(",)", "]").replace(")", "]")
    plain = list(default) if isinstance(default, tuple) else default
    return bool(yaml.safe_load(told) == plain)


@pytest.mark.parametrize(("model", "page"), ALL, ids=[model.__name__ for model, _ in ALL])
def test_every_key_stands_on_its_page_with_its_default(model: type[BaseModel], page: str):
    told = _told(page)
    shared = set(InstrumentConfig.model_fields) if model is not InstrumentConfig else set()
    for key, field in model.model_fields.items():
        if key in shared or key == "kind":
            continue
        assert key in told, f"{model.__name__}.{key} is not told"
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            assert "needed" in told[key], key
        else:
            assert any(_same(value, default) for value in told[key]), (key, default, told[key])
