"""What one client may ask of the server at most: how often, how much, and how slowly."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h11
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_BODY_BYTES = 16 * 1024
"""No form of the pages is larger; uploads there are none."""
MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers together."""
MAX_MESSAGE_BYTES = 1 << 20
"""Of a WebSocket message from a browser: the state of a page's widgets."""
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
SEND_SECONDS = 60.0
MAX_CONNECTIONS = 1_000
MAX_SOCKETS_OF_A_CLIENT = 200
"""A hospital's staff may share one address."""
KEPT_CLIENTS = 10_000
SIGN_IN_PATHS = ("/auth/", "/oauth2callback")


@dataclass(frozen=True)
class Rate:
    """So many at once, and so many a second after that."""

    burst: float
    per_second: float


REQUESTS = Rate(1_000, 100)
"""A first visit asks for some hundred files; a hospital's staff may share one address."""
SIGN_INS = Rate(30, 0.5)
MESSAGES = Rate(100, 20)
"""Of one WebSocket."""


@dataclass
class Buckets:
    """A bucket of tokens for each client; of too many clients, those that came longest ago are forgotten."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, client: str) -> bool:
        """Whether the client may go on."""
        now = self.clock()
        left, at = self._left.pop(client, (self.rate.burst, now))
        left = min(self.rate.burst, left + (now - at) * self.rate.per_second)
        may = left >= 1
        self._left[client] = (left - 1 if may else left, now)
        if len(self._left) > KEPT_CLIENTS:
            self._left.popitem(last=False)
        return may


class Limits:
    """ASGI middleware: 429 for too many requests, 431 and 413 for too large a head or body, 408 for too slow a one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        requests: Rate = REQUESTS,
        sign_ins: Rate = SIGN_INS,
        messages: Rate = MESSAGES,
        body_seconds: float = BODY_SECONDS,
        send_seconds: float = SEND_SECONDS,
        max_sockets: int = MAX_SOCKETS_OF_A_CLIENT,
    ) -> None:
        self.app = app
        self._requests = Buckets(requests)
        self._sign_ins = Buckets(sign_ins)
        self._messages = messages
        self._body_seconds = body_seconds
        self._send_seconds = send_seconds
        self._max_sockets = max_sockets
        self._sockets: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        client = scope["client"][0] if scope["client"] else ""
        may = self._requests.take(client)
        if scope["path"].startswith(SIGN_IN_PATHS):
            may = self._sign_ins.take(client) and may
        if scope["type"] == "websocket":
            await self._socket(may, client, scope, receive, send)
        elif len(scope["path"]) + len(scope["query_string"]) + _size(scope["headers"]) > MAX_HEAD_BYTES:
            # uvicorn bounds what it must hold of a head that has not ended; this one came at once.
            await PlainTextResponse("Too large", 431)(scope, receive, send)
        elif not may:
            await PlainTextResponse("Too many requests", 429, {"Retry-After": "30"})(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
            await PlainTextResponse("Too large", 413)(scope, receive, send)
            return
        deadline = time.monotonic() + self._body_seconds
        n_bytes = 0
        is_whole = has_begun = False
        refusal: Response | None = None

        async def limited_receive() -> Message:
            nonlocal n_bytes, is_whole, refusal
            if is_whole:  # What comes now is the end of the connection, which may take as long as the answer.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0))
                n_bytes += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
                if n_bytes > MAX_BODY_BYTES:
                    refusal = PlainTextResponse("Too large", 413, {"Connection": "close"})
            except TimeoutError:
                refusal = PlainTextResponse("Too slow", 408, {"Connection": "close"})
            return {"type": "http.disconnect"} if refusal else message

        async def limited_send(message: Message) -> None:
            nonlocal has_begun
            if refusal and not has_begun:
                return  # What the application makes of a client that went away is not what this one is told.
            has_begun = True
            # A client that takes nothing holds no more than this.
            await asyncio.wait_for(send(message), self._send_seconds)

        try:
            await self.app(scope, limited_receive, limited_send)
        except ClientDisconnect:
            if not refusal:
                raise
        if refusal and not has_begun:
            await refusal(scope, receive, send)

    async def _socket(self, may: bool, client: str, scope: Scope, receive: Receive, send: Send) -> None:
        if not may or self._sockets[client] >= self._max_sockets:
            await send({"type": "websocket.close", "code": 1013})
            return
        bucket = Buckets(self._messages)

        async def limited_receive() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not bucket.take(client):
                await send({"type": "websocket.close", "code": 1008})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        self._sockets[client] += 1
        try:
            await self.app(scope, limited_receive, send)
        finally:
            self._sockets[client] -= 1
            if not self._sockets[client]:
                del self._sockets[client]


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP, which by itself waits for ever for the head of a request that comes a byte at a time."""

    head_seconds = HEAD_SECONDS
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def of_uvicorn() -> dict[str, Any]:
    """The limits that uvicorn itself keeps."""
    return {
        "http": PatientProtocol,
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
        "ws_max_size": MAX_MESSAGE_BYTES,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_keep_alive": 10,
    }
