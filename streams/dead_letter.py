"""What the headers of a dead letter say; its value is the refused record, byte for byte."""

from __future__ import annotations

from streams.errors import DataError
from streams.topology import Flow

ERROR_TEXT_MAX = 1_000


def dead_letter_headers(
    flow: Flow, processor: str, where: str, error: DataError, parent: bytes
) -> list[tuple[str, bytes]]:
    """Error class and text, who refused which record with which code, and how often it was tried.

    `processor` is empty when the record was refused before any processor saw it; `where` is its
    coordinate as text, `parent` its packed reference.
    """
    headers = {
        "error.class": error.code,
        "error.message": str(error)[:ERROR_TEXT_MAX],
        "error.flow": flow.name,
        "error.processor": processor,
        "error.code_version": flow.code_version,
        "error.record": where,
        "error.attempt": "1",
    }
    return [*((name, text.encode()) for name, text in headers.items()), ("error.parent", parent)]
