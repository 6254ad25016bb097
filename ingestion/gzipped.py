"""Gzip inside a delivery, inflated piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_WITH_GZIP_HEADER = zlib.MAX_WBITS | 16


def gunzipped(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The content in pieces of at most `size` bytes; several gzip members after another are one content.

    Raises `zlib.error` for damage and `EOFError` when the end is missing.
    """
    inflater = zlib.decompressobj(_WITH_GZIP_HEADER)
    begun = False
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                inflater, begun = zlib.decompressobj(_WITH_GZIP_HEADER), False
            begun = True
            content = inflater.decompress(rest, size)
            if content:
                yield content
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        while not inflater.eof and (content := inflater.decompress(b"", size)):
            yield content
    if not (begun and inflater.eof):
        raise EOFError("the gzip content is cut off")
