"""Pictures of pages, small enough to keep, and how far two of them are apart."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

SHRUNK = 4
"""Pixels a side that become one: what a font's rasteriser does to the edges of letters is gone."""
COLOURS = 32
FAR = 48
"""Of 255: two pixels further apart than this differ. A letter's shade is less, a bar or a card more."""


def shrunk(png: bytes) -> Image.Image:
    picture = Image.open(BytesIO(png)).convert("RGB")
    return picture.resize((picture.width // SHRUNK, picture.height // SHRUNK), Image.Resampling.BOX)


def keep(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    picture.quantize(COLOURS).save(path, optimize=True)


def share_that_differs(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that are far apart in any colour; 1 when the sizes are not the same."""
    if one.size != other.size:
        return 1.0
    apart = np.asarray(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).max(axis=2)
    return float((apart > FAR).mean())
