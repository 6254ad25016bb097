"""`ruam serve` with a certificate of its own: it speaks TLS itself, and nothing of a session goes in the clear."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.certificates import certify
from tests.dashboards.servers import free_port, served


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, signed by itself, and its key."""
    return certify(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def trusted(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


@pytest.fixture(scope="module")
def address(published_home: Path, certificate: tuple[Path, Path], trusted: ssl.SSLContext) -> Iterator[str]:
    files = {"RUAM_TLS_CERTIFICATE": str(certificate[0]), "RUAM_TLS_KEY": str(certificate[1])}
    with served(published_home, free_port(), "--demo", tls=trusted, **files) as base:
        yield base


def test_with_a_certificate_the_pages_speak_tls_alone_and_ask_browsers_to(
    address: str, trusted: ssl.SSLContext
) -> None:
    answer = httpx.get(f"{address}/", verify=trusted)
    assert answer.status_code == 401, "nobody has signed in yet"
    assert int(answer.headers["strict-transport-security"].partition("max-age=")[2].partition(";")[0]) >= 31_536_000
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address.replace('https', 'http')}/")
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(f"{address}/")


def test_every_cookie_is_secure_and_the_sessions_is_bound_to_the_host(address: str, trusted: ssl.SSLContext) -> None:
    with httpx.Client(base_url=address, verify=trusted, headers={"origin": address}) as client:
        asked = client.get("/utilization?area=R04")
        signed_in = client.post("/auth/demo", data={"user": "analyst", "next": "/"})
        inside = client.get("/utilization")
        cookies = [cookie for answer in (asked, signed_in, inside) for cookie in answer.headers.get_list("set-cookie")]
    assert signed_in.status_code == 303
    assert inside.status_code == 200
    assert any(cookie.startswith("__Host-ruam_session=") for cookie in cookies)
    assert [cookie for cookie in cookies if "; secure" not in cookie.lower()] == []
