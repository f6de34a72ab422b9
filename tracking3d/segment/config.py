"""The segmenters that a config can name."""

from __future__ import annotations

from typing import TypeAlias

from tracking3d.segment.watershed import WatershedConfig

SegmenterConfig: TypeAlias = WatershedConfig
"""Discriminated by ``kind``."""
