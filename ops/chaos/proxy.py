"""A TCP proxy on loopback whose connections a gate looks into.

One thread per connection accepts and hands both ends to the gate, which passes bytes on as long as
it likes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from ops.stack.ports import HOST

CHUNK_BYTES = 65_536
Relay = Callable[[socket.socket, socket.socket], None]


class Proxy:
    """Listens on a free port and connects whoever comes to `target`, through `relay`."""

    def __init__(self, target: int, relay: Relay) -> None:
        self._target = target
        self._relay = relay
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Accept no more, and cut what is connected."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            server = socket.create_connection((HOST, self._target))
            with server:
                both = {client, server}
                with self._lock:
                    self._open |= both
                try:
                    for one in both:
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._relay(client, server)
                finally:
                    with self._lock:
                        self._open -= both


def free_port() -> int:
    """A port that the system says is free; it gives the same one out again only after a while."""
    with socket.create_server((HOST, 0)) as holder:
        return int(holder.getsockname()[1])


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source ends; then let the target end too."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def both_ways(there: Callable[[], None], back: Callable[[], None]) -> None:
    """Run two directions until both have ended."""
    second = threading.Thread(target=back, daemon=True)
    second.start()
    there()
    second.join()
