"""Every way to register, as one type for config files: told apart by ``kind``."""

from __future__ import annotations

from typing import TypeAlias

from registration.linear import RigidConfig

RegistrarConfig: TypeAlias = RigidConfig
