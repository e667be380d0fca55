"""Generated functions as the compiler reads them, run by Python."""

from __future__ import annotations

from types import ModuleType

import pytest

from schemas import generated


def run_what_the_compiler_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python run what is generated for the compiler, from now on."""

    def module(name: str) -> ModuleType:
        made = ModuleType(name)
        exec(generated.texts[name], vars(made))
        return made

    monkeypatch.setattr(generated, "import_module", module)
