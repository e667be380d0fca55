"""Ports of the stack: chosen once, kept in `stack.json`, and a clear word when one is taken."""

from __future__ import annotations

import socket
from collections.abc import Collection
from pathlib import Path

import psutil

from ops.stack.errors import PortTaken

HOST = "127.0.0.1"
KAFKA_PORT = 19092
CONTROLLER_PORT = 19093
REGISTRY_PORT = 18081
PORTS_TRIED_MAX = 100


def choose_port(preferred: int, reserved: Collection[int] = ()) -> int:
    """Return the preferred port, or the next one that is free and not reserved."""
    for port in range(preferred, preferred + PORTS_TRIED_MAX):
        if port not in reserved and is_free(port):
            return port
    last = preferred + PORTS_TRIED_MAX - 1
    raise PortTaken(
        f"no port from {preferred} to {last} is free", "stop something, then run `doa up` again"
    )


def is_free(port: int) -> bool:
    """Try to bind it, as the servers do: a closed connection that still lingers is no obstacle."""
    # Some systems let a loopback port be bound over a listener on all interfaces.
    if answers(port):
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def check_free(name: str, port: int, settings: Path) -> None:
    """Raise if somebody else has the port, and say who, if the system tells."""
    if is_free(port):
        return
    raise PortTaken(
        f"port {port} of {name} is taken by {_owner(port)}",
        f'stop that, or delete "ports" from {settings} so that the next `doa up` picks free ones',
    )


def _owner(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        return "another process"
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        if connection.laddr.port == port:
            if connection.pid is None:
                return "a process of another user"
            return f"{_name(connection.pid)} (pid {connection.pid})"
    return "another process"


def _name(pid: int) -> str:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "a process"
