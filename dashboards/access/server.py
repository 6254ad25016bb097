"""The server of the pages: `python -m dashboards.access.server [--demo]`, which `ruam serve` becomes.

From the outside in: the trusted proxy, limits, headers, host names, the gateway, Streamlit.
"""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import polars as pl
import streamlit as st
import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.runtime.secrets import SecretsValue
from streamlit.web import bootstrap
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dashboards.access.errors import shown_by_reference
from dashboards.access.gateway import Gateway
from dashboards.access.headers import Headers, policy
from dashboards.access.limits import Limits, of_uvicorn
from dashboards.components import (
    charts,
    control,
    difference,
    exhibit,
    facility_links,
    facts,
    figure_views,
    flows,
    maps,
    measure_views,
    report_states,
    rollout_effects,
    rollout_facts,
    rollout_indicators,
    rule_texts,
    stewardship,
)
from ruam.access import load_table
from ruam.errors import RuamError
from ruam.log import log_to
from ruam.provider import CALLBACK, Provider
from ruam.serve import LOOPBACK, checked
from ruam.settings import PROJECT, Settings

SCRIPT = PROJECT / "dashboards" / "app.py"
INDEX = Path(st.__file__).parent / "static" / "index.html"
STOP_SECONDS = 5


class BehindProxies:
    """ASGI middleware: answers the trusted proxies alone, and only what reached them over TLS."""

    def __init__(self, app: ASGIApp, proxies: tuple[str, ...]) -> None:
        self._believing: ASGIApp = ProxyHeadersMiddleware(self._over_tls, trusted_hosts=list(proxies))  # type: ignore
        self._proxies = proxies
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and (scope["client"] or ("",))[0] not in self._proxies:
            await _refused(scope, receive, send, "Not through the proxy")
        else:
            await self._believing(scope, receive, send)

    async def _over_tls(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] in {"http", "websocket"} and scope["scheme"] not in {"https", "wss"}
        if is_open and scope["path"] != "/_stcore/health":
            await _refused(scope, receive, send, "Not over TLS")
        else:
            await self.app(scope, receive, send)


async def _refused(scope: Scope, receive: Receive, send: Send, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await PlainTextResponse(words, 403)(scope, receive, send)


def app_of(settings: Settings, provider: Provider | None) -> ASGIApp:
    """The whole of it; without a provider for a demo."""
    cookie_secret = token_hex(32)  # Between the gateway and Streamlit alone: no browser sees what it signs.
    auth: dict[str, SecretsValue] = {
        "redirect_uri": provider.redirect_uri if provider else f"http://{LOOPBACK[0]}:{settings.port}{CALLBACK}",
        "cookie_secret": cookie_secret,
        "client_id": provider.client_id if provider else "demo",
        "client_secret": provider.client_secret.get_secret_value() if provider else "demo",
        "server_metadata_url": provider.metadata_url if provider else f"http://{LOOPBACK[0]}:{settings.port}/demo",
    }
    secrets: dict[str, SecretsValue] = {"auth": auth}
    if provider:
        auth["client_kwargs"] = {"scope": provider.scope, "prompt": "login"}
    app: ASGIApp = st.App(SCRIPT, secrets=secrets, on_script_error=shown_by_reference)
    app = Gateway(app, settings.data_home, load_table(settings.access_table), cookie_secret, provider)
    app = TrustedHostMiddleware(app, allowed_hosts=hosts_of(provider), www_redirect=False)
    app = Headers(app, policy(INDEX, provider.issuer_origin if provider else None))
    app = Limits(app)
    return BehindProxies(app, settings.trusted_proxies) if settings.trusted_proxies else app


def hosts_of(provider: Provider | None) -> list[str]:
    """Names under which the pages answer: their public one, and this machine's own for its probes."""
    public = [urlsplit(provider.public_url).hostname or ""] if provider else []
    return [*public, "127.0.0.1", "localhost"]


PARTS = (
    *(charts, control, difference, exhibit, facility_links, facts, figure_views, flows, maps, measure_views),
    *(report_states, rollout_effects, rollout_facts, rollout_indicators, rule_texts, stewardship),
)
"""Of pages: with what these need in turn, all that a page may ask for is imported before the first one does."""


def warm() -> None:
    """Have in memory what any page draws with, and keep all that was imported out of the collection of garbage.

    Streamlit collects after each run of a page, and going through all that was ever imported takes longer than a page.
    """
    charts.sparkline(pl.DataFrame({"label": ["1"], "value": [1.0], "shown": ["1"]}))
    gc.collect()
    gc.freeze()


def main() -> None:
    demo = "--demo" in sys.argv[1:]
    settings = Settings()
    try:
        provider = checked(settings, demo=demo)
    except RuamError as error:
        sys.stderr.write(f"ruam: {error}\n")
        sys.exit(error.exit_code)
    log_to(settings.data_home)
    logging.getLogger("dashboards").handlers = logging.getLogger("ruam").handlers
    warm()
    bootstrap.load_config_options({"server_port": settings.port, "server_allowedHosts": hosts_of(provider)})
    uvicorn.Server(
        uvicorn.Config(
            app_of(settings, provider),
            host=settings.host,
            port=settings.port,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            ws="websockets-sansio",
            ws_ping_interval=30,
            ws_ping_timeout=30,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=STOP_SECONDS,
            **of_uvicorn(),
        )
    ).run()


if __name__ == "__main__":
    main()
