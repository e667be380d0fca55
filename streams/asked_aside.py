"""A registry that is asked beside the loop: an outage of it holds up the units that have to know,
while the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from typing import Any

from streams.beside import beside
from streams.codec import Registry
from streams.errors import Asked, DataError, RegistryError

ANSWER_S = 0.5  # for an answer, before the loop goes on without; a transaction may be open
KEPT_S = 10.0  # an answer that nobody comes for: what the registry knows may change


class _Question:
    """What is asked, what came of it and when, and what came of it the last time if that failed."""

    def __init__(self, function: Callable[[], dict[str, Any]]) -> None:
        self._function = function
        self.failure: RegistryError | None = None
        self.ask()

    def ask(self) -> None:
        """Ask, at first or once more."""
        self._answered_at: float | None = None
        self.answer = beside("registry", self._function)
        self.answer.add_done_callback(self._note)

    def _note(self, _: object) -> None:
        self._answered_at = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether nobody came for the answer in time."""
        return self._answered_at is not None and time.monotonic() - self._answered_at > KEPT_S


class AskedAside:
    """A `Registry` whose answers about writers' schemas are waited for only so long; who asks again
    gets the answer when it is there.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._questions: dict[tuple[str | None, int], _Question] = {}

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of our own schema, which nothing can go on without: this waits."""
        return self._registry.schema_id(subject, schema)

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id, if it belongs to the subject; RegistryError while nobody knows."""
        return self._answer(
            (subject, schema_id), partial(self._registry.writer_schema, subject, schema_id)
        )

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id; RegistryError while nobody knows."""
        return self._answer((None, schema_id), partial(self._registry.any_schema, schema_id))

    def _answer(
        self, key: tuple[str | None, int], function: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        question, patience = self._questions.get(key), 0.0
        if question is None or question.stale:
            question, patience = _Question(function), ANSWER_S
            self._questions[key] = question
        try:
            answer: dict[str, Any] = question.answer.result(patience)
        except NotYet as error:
            asked = Asked(f"the registry is asked about schema {key[1]}")
            raise (question.failure or asked) from error
        except RegistryError as error:
            question.failure = error
            question.ask()  # nobody waits for this one
            raise
        except DataError:
            del self._questions[key]
            raise
        del self._questions[key]
        return answer
