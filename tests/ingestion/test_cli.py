"""The command line: help that teaches, and exit codes that scripts can use."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from polars.exceptions import PanicException

from identity.keys import Keys
from identity.pseudonym import Pseudonymiser
from ingestion.checks import Checker, load_rules
from ingestion.contract import load_contracts
from ingestion.delivery import DeliveryZip
from ingestion.feed import load_feeds
from ingestion.receipts import check
from ruam import cli
from ruam.errors import RuamError
from ruam.files import locked
from ruam.landing import region_folder
from ruam.settings import PROJECT, Settings
from tests.conftest import registry_csv
from tests.ingestion.odd_zips import make_zip, row, text, zip_name
from tests.ingestion.reading import batches, landed, records

Command = Callable[..., int]
COMMANDS = [
    *("init", "synth", "reference load", "ingest", "build", "check", "publish", "run", "serve"),
    *("status", "deliveries", "quarantine list", "quarantine show", "quarantine release"),
    *("compact", "landing check", "landing repair", "feeds check", "inbox purge"),
    *("identity take-in", "identity status", "identity forget", "identity audit"),
    *("identity link", "identity review", "identity train", "identity evaluate", "keys show", "keys rotate"),
    *("study rollout", "docs", "export", "audit verify", "audit subject"),
    *("access check", "access sessions", "access revoke", "report", "reports", "alerts send"),
    *("findings list", "findings show", "findings assign", "findings comment", "findings snooze", "findings accept"),
    "findings reopen",
