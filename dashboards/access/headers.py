"""What every answer tells the browser: where anything may come from, and that nothing of it is kept or framed."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(rb"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
HSTS_SECONDS = 365 * 24 * 3600
LONG_LIVED = ("/static/", "/app/static/")


def policy(index: Path, issuer_origin: str | None = None) -> str:
    """The content security policy. Inline scripts of Streamlit's page are allowed by their hash, `eval` never is."""
    hashes = [
        f"'sha256-{b64encode(hashlib.sha256(script['text']).digest()).decode()}'"
        for script in _INLINE.finditer(index.read_bytes())
        if b"src=" not in script["attributes"]
    ]
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", "'wasm-unsafe-eval'", *hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "media-src": "'self'",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": " ".join(["'self'", *([issuer_origin] if issuer_origin else [])]),
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class Headers:
    """ASGI middleware: security headers on each answer, `Secure` on each cookie that goes over TLS."""

    def __init__(self, app: ASGIApp, csp: str) -> None:
        self.app = app
        self._always = {
            "Content-Security-Policy": csp,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",  # Signing in finds the way back by it.
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_secure = scope.get("scheme") in {"https", "wss"}

        async def with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers[name] = value
                if not scope["path"].startswith(LONG_LIVED):
                    headers["Cache-Control"] = "no-store"
                if is_secure:
                    headers["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}; includeSubDomains"
                    message["headers"] = [
                        (name, value + b"; Secure") if _is_open_cookie(name, value) else (name, value)
                        for name, value in message["headers"]
                    ]
            await send(message)

        await self.app(scope, receive, with_headers)


def _is_open_cookie(name: bytes, value: bytes) -> bool:
    return name.lower() == b"set-cookie" and b"; secure" not in value.lower()
