"""Who may see fields that are not public: whoever asks with --sensitive, as far as the setting
`DOA_MAY_SEE` allows. Both are needed, so that neither a habit nor an environment that was copied
shows them; the same holds for a stack of one's own, so that what is tried there holds elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

from streams.errors import StreamsError
from streams.settings import Settings

SENSITIVE = click.option(
    "--sensitive", is_flag=True, help="Show fields that are not public, as DOA_MAY_SEE allows."
)


class NotAllowed(StreamsError):
    """Asked to see what the settings do not allow."""


def told_hidden(topic: str, columns: Mapping[str, str]) -> str:
    """That columns are null where the schema of a record's writer hides them."""
    names = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
    return f"null in records of {topic} whose writers mark it: {names}; see --sensitive"


def may_see(settings: Settings, *, sensitive: bool) -> frozenset[str]:
    """The sensitivities that are shown beside public ones; NotAllowed where none may be."""
    if sensitive and not settings.sensitivities:
        raise NotAllowed(
            "--sensitive shows what the setting DOA_MAY_SEE names, and it names nothing; "
            "for instance: DOA_MAY_SEE=internal,personal"
        )
    return settings.sensitivities if sensitive else frozenset()
