"""Makes the fonts of printed briefs of those of the pages: the typesetter reads TrueType, and takes one file a weight.

uv run --with brotli python -m dashboards.assets.convert_fonts
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools.merge import Merger
from fontTools.ttLib import TTFont

PAGES = Path(__file__).parent.parent / "static" / "fonts"
PRINT = Path(__file__).with_name("fonts")
WEIGHTS = (400, 600)


def main() -> None:
    PRINT.mkdir(exist_ok=True)
    for weight in WEIGHTS:
        with TemporaryDirectory() as folder:
            parts = []
            for script in ("thai", "latin"):
                font = TTFont(PAGES / f"noto-sans-thai-{script}-{weight}-normal.woff2")
                font.flavor = None
                parts.append(f"{folder}/{script}.ttf")
                font.save(parts[-1])
            merged = Merger().merge(parts)
            merged.save(PRINT / f"noto-sans-thai-{weight}.ttf", reorderTables=False)


if __name__ == "__main__":
    main()
