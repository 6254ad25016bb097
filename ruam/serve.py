"""Serve the pages: where, to whom, and behind what."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from typing import NoReturn

from ruam.access import load_table
from ruam.errors import SetupError, UsageError
from ruam.provider import Provider, load_provider
from ruam.settings import PROJECT, Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSED_ON = ("host", "port", "tls_certificate", "tls_key", "trusted_proxies", "oidc_file", "access_table")


def checked(settings: Settings, *, demo: bool) -> Provider | None:
    """The identity provider, None for a demo.

    Raises `UsageError` for an address that may not be served so, `SetupError` for settings that are not whole.
    """
    load_table(settings.access_table)
    tls = [path for path in (settings.tls_certificate, settings.tls_key) if path is not None]
    for path in tls:
        if not path.is_file():
            raise SetupError(f"{path}: there is no such file. RUAM_TLS_CERTIFICATE and RUAM_TLS_KEY name those of TLS.")
    if len(tls) == 1:
        raise SetupError("TLS needs both RUAM_TLS_CERTIFICATE and RUAM_TLS_KEY.")
    for proxy in settings.trusted_proxies:
        try:
            ip_address(proxy)
        except ValueError as error:
            raise SetupError(f"RUAM_TRUSTED_PROXIES: {proxy} is no address of a machine.") from error
    if settings.host not in LOOPBACK:
        if demo:
            raise UsageError(
                f"{settings.host} is not this machine. A demo signs in whoever comes, so it is served on loopback only."
            )
        if not tls and not settings.trusted_proxies:
            raise UsageError(
                f"{settings.host} is not this machine. To reach further, give the pages TLS (RUAM_TLS_CERTIFICATE and "
                "RUAM_TLS_KEY), or name the proxy that ends TLS before them (RUAM_TRUSTED_PROXIES). "
                "See docs/how-to/sign-in.md."
            )
    if demo:
        return None
    provider = load_provider(settings.oidc_file)
    if settings.host not in LOOPBACK and not provider.public_url.startswith("https://"):
        raise SetupError(f"{provider.public_url}: people on other machines must reach the pages by https://.")
    return provider


def serve(settings: Settings, *, demo: bool) -> NoReturn:
    """Become the server of the pages: a signal to this process is a signal to it, and nothing is left behind.

    Raises as `checked` does.
    """
    checked(settings, demo=demo)
    values = settings.model_dump(mode="json", include=set(PASSED_ON), exclude_none=True)
    values["trusted_proxies"] = "[" + ", ".join(f'"{proxy}"' for proxy in settings.trusted_proxies) + "]"
    for name in ("tls_certificate", "tls_key", "oidc_file", "access_table"):
        if (path := getattr(settings, name)) is not None:
            values[name] = str(path.absolute())
    environment = {f"RUAM_{name.upper()}": str(value) for name, value in values.items()}
    environment["RUAM_HOME"] = str(settings.data_home.root)
    os.chdir(PROJECT)  # The server reads .streamlit/config.toml from where it runs.
    command = [sys.executable, "-m", "dashboards.access.server", *(["--demo"] if demo else [])]
    os.execve(sys.executable, command, os.environ | environment)  # noqa: S606
