"""What the proxies do with the bytes that pass: lose the end of a transaction, play a registry that
is away.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from functools import partial
from typing import Literal

from ops.chaos.proxy import both_ways, pump

END_TXN = 26  # the api key of Kafka's request that commits or aborts a transaction
REQUEST = struct.Struct(">hhih")  # api key, version, correlation id, length of the client's name
SLOW_S = 2.0
HTTP_BYTES_MAX = 65_536
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Loss = Literal["request", "response"]
Mood = Literal["well", "down", "503", "slow"]


class EndTxnGate:
    """Passes Kafka's protocol on, frame by frame, and loses the next EndTxn when told to."""

    def __init__(self) -> None:
        self.lost: list[tuple[float, str]] = []  # when, and of which transactional id
        self._lose: Loss | None = None
        self._lock = threading.Lock()

    def lose_next(self, what: Loss) -> None:
        """Lose the next request that ends a transaction, or the broker's response to it."""
        with self._lock:
            self._lose = what

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """Pass frames on until an end closes."""
        doomed: set[int] = set()
        there = partial(self._requests, client, server, doomed)
        both_ways(there, partial(self._responses, server, client, doomed))

    def _requests(self, client: socket.socket, server: socket.socket, doomed: set[int]) -> None:
        with contextlib.suppress(OSError):
            while frame := _frame(client):
                if self._passes(frame, doomed):
                    server.sendall(len(frame).to_bytes(4, "big") + frame)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _passes(self, frame: bytes, doomed: set[int]) -> bool:
        """Whether a request goes to the broker; its response may be doomed all the same."""
        key, _, correlation, name_length = REQUEST.unpack_from(frame)
        if key != END_TXN or self._lose is None:
            return True
        with self._lock:
            loss, self._lose = self._lose, None
        if loss is None:
            return True
        self.lost.append((time.time(), _transactional_id(frame, max(name_length, 0))))
        if loss == "response":
            doomed.add(correlation)
        return loss == "response"

    def _responses(self, server: socket.socket, client: socket.socket, doomed: set[int]) -> None:
        with contextlib.suppress(OSError):
            while frame := _frame(server):
                if int.from_bytes(frame[:4], "big", signed=True) not in doomed:
                    client.sendall(len(frame).to_bytes(4, "big") + frame)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


class RegistryGate:
    """Passes HTTP on, or plays a registry that is down, overloaded or slow."""

    def __init__(self) -> None:
        self.mood: Mood = "well"

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """Serve one connection as the mood says."""
        if self.mood == "down":
            return
        if self.mood == "503":
            client.recv(HTTP_BYTES_MAX)
            client.sendall(UNAVAILABLE)
            return
        if self.mood == "slow":
            time.sleep(SLOW_S)
        both_ways(partial(pump, client, server), partial(pump, server, client))


def _frame(source: socket.socket) -> bytes:
    """One frame of Kafka's protocol, without its length; empty at the end."""
    head = _exactly(source, 4)
    return _exactly(source, int.from_bytes(head, "big")) if head else b""


def _exactly(source: socket.socket, count: int) -> bytes:
    parts, left = [], count
    while left:
        part = source.recv(min(left, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _transactional_id(frame: bytes, name_length: int) -> str:
    """The first field of the body, a text; librdkafka's version of the request is not compact."""
    at = REQUEST.size + name_length
    length = int.from_bytes(frame[at : at + 2], "big")
    return frame[at + 2 : at + 2 + length].decode("utf-8", "replace")
