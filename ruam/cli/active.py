"""What a command finds in force: its settings, and the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ruam.errors import SetupError

if TYPE_CHECKING:
    from ruam.settings import Settings

log = logging.getLogger("ruam.cli")
log.addHandler(logging.NullHandler())  # Before there is a home to log to, errors go to the user alone.


def settings() -> Settings:
    """Settings in force, with the log open. Raises `SetupError` when one cannot be read."""
    from pydantic import ValidationError

    from ruam.log import log_to
    from ruam.settings import Settings

    try:
        loaded = Settings()
    except ValidationError as error:
        raise SetupError(f"A setting is wrong: {error}") from error
    log_to(loaded.data_home)
    return loaded
