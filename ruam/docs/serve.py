"""Serve written pages on this machine alone."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOOPBACK = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Who reads which definition is nobody's business."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder, to be run with `serve_forever` and closed; port 0 takes a free one.

    Raises `OSError` when the port is taken.
    """
    return ThreadingHTTPServer((LOOPBACK, port), partial(_Quiet, directory=str(folder)))
