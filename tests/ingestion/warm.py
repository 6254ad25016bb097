"""What every `ruam` process needs, imported and parsed before they are forked; no engine is used here."""

from __future__ import annotations

import numpy.ma
import rich.progress

import ingestion.compaction
import ingestion.job
import ruam.cli
import ruam.log
from ingestion.checks import code_values, load_rules
from ingestion.contract import load_contracts

load_contracts()
load_rules()
code_values()

__all__ = ["ingestion", "numpy", "rich", "ruam"]
