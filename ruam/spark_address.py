"""Where a Spark cluster is, as the setting `spark_master` says it."""

from __future__ import annotations

from urllib.parse import urlsplit

from ruam.errors import SetupError

_SERVERS = {"sc": ("spark_connect", 15_002), "thrift": ("spark_thrift", 10_000)}
"""Servers that drive a cluster, by the scheme of their address: target of profiles.yml, and port when none is named."""


def target_of(address: str) -> str:
    """The target of profiles.yml. What names no server (`spark://`, `yarn`, `local[2]`) is a master, whose driver is
    the process that builds."""
    scheme = address.partition("://")[0]
    return _SERVERS[scheme][0] if scheme in _SERVERS else "spark"


def server_of(address: str) -> tuple[str, int] | None:
    """Host and port of the server at `sc://HOST[:PORT]` or `thrift://HOST[:PORT]`; None for any other address.

    Raises `SetupError` when it names no host or a port that is none.
    """
    scheme = address.partition("://")[0]
    if scheme not in _SERVERS:
        return None
    place = urlsplit(address)
    try:
        port = place.port or _SERVERS[scheme][1]
    except ValueError:
        port = 0
    if not (place.hostname and port):
        raise SetupError(f"{address} is no address of a Spark server: RUAM_SPARK_MASTER is to be {scheme}://HOST:PORT.")
    return place.hostname, port
