"""What one client may ask at most: how often, how much, how slowly."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboards.access import limits
from dashboards.access.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES, Buckets, Limits, PatientProtocol, Rate


async def read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


INNER = Starlette(routes=[WebSocketRoute("/s", echo), Route("/{path:path}", read, methods=["GET", "POST"])])


def test_a_bucket_fills_again_with_time() -> None:
    now = [0.0]
    bucket = Buckets(Rate(2, 0.5), lambda: now[0])
    assert [bucket.take("x") for _ in range(3)] == [True, True, False]
    assert bucket.take("y")
    now[0] = 2
    assert [bucket.take("x") for _ in range(2)] == [True, False]


def test_clients_that_came_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_CLIENTS", 3)
    bucket = Buckets(Rate(1, 0))
    assert all(bucket.take(str(number)) for number in range(10))
    assert len(bucket._left) == 3


def test_too_many_tries_to_sign_in_are_refused_and_pages_still_open() -> None:
    with TestClient(Limits(INNER, sign_ins=Rate(5, 0.1))) as client:
        tries = [client.get(path).status_code for path in ("/auth/login", "/oauth2callback") * 3]
        assert tries == [200] * 5 + [429]
        assert client.get("/auth/login").headers["retry-after"]
        assert client.get("/").status_code == 200


def test_too_many_requests_are_refused() -> None:
    with TestClient(Limits(INNER, requests=Rate(3, 0.1))) as client:
        assert [client.get("/").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_body_over_the_limit_is_refused_declared_or_not() -> None:
    with TestClient(Limits(INNER)) as client:
        assert client.post("/", content=b"x" * MAX_BODY_BYTES).text == str(MAX_BODY_BYTES)
        assert client.post("/", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
        undeclared = (b"x" * 1000 for _ in range(MAX_BODY_BYTES // 1000 + 1))
        assert client.post("/", content=undeclared).status_code == 413
        assert client.post("/", headers={"content-length": "-1"}).status_code == 413


Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """In a thread of its own: the browser of other tests leaves a loop that runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def scope_of(kind: str = "http") -> dict[str, object]:
    return {"type": kind, "path": "/", "client": ("192.0.2.1", 1), "headers": [], "method": "POST", "query_string": b""}


async def answer_of(app: Limits, messages: list[Message]) -> list[Message]:
    """What is sent to a client who sends these and then nothing more."""
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(), receive, send)
    return sent


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app = Limits(INNER, body_seconds=0.05)
    sent = run(answer_of(app, [{"type": "http.request", "body": b"x", "more_body": True}]))
    assert sent[0]["status"] == 408


def test_a_client_that_takes_no_answer_is_let_go() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(Limits(INNER, send_seconds=0.05)(scope_of(), receive, send))


def test_a_socket_that_talks_without_end_is_closed() -> None:
    with TestClient(Limits(INNER, messages=Rate(3, 0.1))) as client, client.websocket_connect("/s") as connection:
        for _ in range(3):
            connection.send_bytes(b"x")
            assert connection.receive_bytes() == b"x"
        connection.send_bytes(b"x")
        with pytest.raises(WebSocketDisconnect) as closed:
            connection.receive_bytes()
        assert closed.value.code == 1008


def test_one_client_holds_no_more_than_its_sockets() -> None:
    with TestClient(Limits(INNER, max_sockets=1)) as client:
        with client.websocket_connect("/s"), pytest.raises(WebSocketDisconnect), client.websocket_connect("/s"):
            pass
        with client.websocket_connect("/s"):
            pass


class Impatient(PatientProtocol):
    head_seconds = 0.3


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The real server around a small application, on loopback."""
    options = limits.of_uvicorn() | {"http": Impatient, "timeout_keep_alive": 1}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(Limits(INNER), log_level="critical", ws="websockets-sansio", **options))
        running = threading.Thread(target=lambda: server.run(sockets=[listening]))
        running.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        running.join(10)


def said_to(port: int, *pieces: bytes) -> bytes:
    """All that the server answers until it ends the connection; each further piece follows an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        answer = b""
        for number, piece in enumerate(pieces):
            if number:
                answer += client.recv(65536)
            client.sendall(piece)
        while part := client.recv(65536):
            answer += part
        return answer


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(port: int) -> None:
    assert said_to(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
    assert said_to(port) == b""
    # Nor the second one of a connection.
    answer = said_to(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHo")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_request_that_comes_whole_is_answered(port: int) -> None:
    assert said_to(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_head_over_the_limit_is_refused(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Large: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n"
    assert said_to(port, head).startswith(b"HTTP/1.1 4")
