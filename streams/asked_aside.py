"""A registry that is asked beside the loop: an outage of it holds up the units that have to know,
while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from typing import Any

from streams.beside import beside
from streams.codec import Registry
from streams.errors import Asked, DataError, RegistryError

ANSWER_S = 0.5  # for an answer, before the loop goes on without; a transaction may be open

Question = tuple[str | None, int]  # the subject, None for any, and the id of a schema


class AskedAside:
    """A `Registry` whose answers about writers' schemas are waited for only so long; who asks again
    gets the answer when it is there.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._asked: dict[Question, Future[dict[str, Any]]] = {}
        self._failed: dict[Question, RegistryError] = {}

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of our own schema, which nothing can go on without: this waits."""
        return self._registry.schema_id(subject, schema)

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id, if it belongs to the subject; RegistryError while nobody knows."""
        ask = partial(self._registry.writer_schema, subject, schema_id)
        return self._answer((subject, schema_id), ask)

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id; RegistryError while nobody knows."""
        return self._answer((None, schema_id), partial(self._registry.any_schema, schema_id))

    def _answer(self, question: Question, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        patience = 0.0
        if question not in self._asked:
            self._asked[question], patience = beside("registry", ask), ANSWER_S
        try:
            answer = self._asked[question].result(patience)
        except NotYet as error:
            asked = Asked(f"the registry is asked about schema {question[1]}")
            raise self._failed.get(question, asked) from error
        except RegistryError as error:
            self._asked[question] = beside("registry", ask)  # nobody waits for this one
            self._failed[question] = error
            raise
        except DataError:
            self._forget(question)
            raise
        self._forget(question)
        return answer

    def _forget(self, question: Question) -> None:
        del self._asked[question]
        self._failed.pop(question, None)
