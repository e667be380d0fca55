"""Pickle made unreachable: Faust's codecs would run whatever code the bytes of a topic contain."""

from __future__ import annotations

from typing import Any

from faust.exceptions import ImproperlyConfigured
from faust.serializers import codecs, registry, schemas

UNSAFE_NAMES = ("pickle", "pickle_restricted", "pickle_fickling")
UNSAFE_CLASSES = (codecs.raw_pickle, codecs.raw_fickling_pickle, codecs.restricted_pickle)
REFUSAL = "pickle is refused, since its bytes are code; use streams.app.bridge"


def seal_codecs() -> None:
    """Refuse pickle by name, by class, and where a topic or a schema asks for it."""
    codecs.get_codec(
        "raw"
    )  # loads codecs of other packages now, so that they cannot undo this later
    for name in UNSAFE_NAMES:
        codecs.register(name, RefusedCodec())
    for unsafe in UNSAFE_CLASSES:
        for verb in ("_loads", "_dumps"):
            setattr(unsafe, verb, getattr(RefusedCodec, verb))
    for module in (codecs, registry, schemas):
        setattr(module, "warn_if_unsafe_pickle", _refuse_pickle)  # noqa: B010


class RefusedCodec(codecs.Codec):
    """Stands where pickle was."""

    def _loads(self, s: bytes) -> Any:
        raise ImproperlyConfigured(REFUSAL)

    def _dumps(self, s: Any) -> bytes:
        raise ImproperlyConfigured(REFUSAL)


def _refuse_pickle(codec: Any, **_: Any) -> None:
    """Take the place of Faust's warning at every declaration of a codec."""
    names = codec.split("|") if isinstance(codec, str) else ()
    nodes = getattr(codec, "nodes", ())
    if set(names) & set(UNSAFE_NAMES) or any(
        isinstance(n, (*UNSAFE_CLASSES, RefusedCodec)) for n in nodes
    ):
        raise ImproperlyConfigured(REFUSAL)
