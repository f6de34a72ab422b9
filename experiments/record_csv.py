"""Dataclasses as the rows of a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def records_as_csv(kind: type[DataclassInstance], records: Sequence[DataclassInstance]) -> str:
    """Their fields as columns under a header, which stands there without a row as well.

    Parameters
    ----------
    kind : whose fields are the header.
    records : of that kind.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    writer.writerows(astuple(record) for record in records)
    return text.getvalue()
