"""The log: one JSON object a line in `RUAM_HOME/logs/ruam.jsonl`. It never holds a value from a record."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ruam.errors import failed_at
from ruam.home import DataHome

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1]:
            entry["error"] = failed_at(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)


def kept_in(path: Path, formatter: logging.Formatter) -> logging.Handler:
    """Writes to a file, of which six pieces of 10 MiB are kept."""
    handler = RotatingFileHandler(path, maxBytes=10 << 20, backupCount=5, encoding="utf-8")
    handler.setFormatter(formatter)
    return handler


def log_to(home: DataHome) -> None:
    """Send the log of this process to the home's file."""
    logger = logging.getLogger("ruam")
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.propagate = False
    if not home.logs.is_dir():
        logger.addHandler(logging.NullHandler())
        return
    logger.addHandler(kept_in(home.logs / "ruam.jsonl", JsonLines()))
    logger.setLevel(logging.INFO)
