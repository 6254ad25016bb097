"""What a command finds in force: its settings, and the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ruam.errors import SetupError

if TYPE_CHECKING:
    from ruam.settings import Settings

log = logging.getLogger("ruam.cli")
log.addHandler(logging.NullHandler())  # Before there is a home to log to, errors go to the user alone.


def settings(**given: object) -> Settings:
    """Settings in force, with the log open; what was given as an option goes before them.

    Raises `SetupError` when one cannot be read.
    """
    from pydantic import ValidationError

    from ruam.log import log_to
    from ruam.settings import Settings

    try:
        loaded = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SetupError(f"A setting is wrong: {error}") from error
    log_to(loaded.data_home)
    return loaded
