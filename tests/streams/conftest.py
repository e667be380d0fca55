"""Generated functions as Python runs them, and as the compiler reads them."""

from __future__ import annotations

from types import ModuleType

import pytest

from schemas import generated


@pytest.fixture(params=["for Python", "for the compiler"])
def text(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python run what is generated for it, and then what is generated for the compiler."""

    def module(name: str) -> ModuleType:
        made = ModuleType(name)
        exec(generated.texts[name], vars(made))
        return made

    if request.param == "for the compiler":
        monkeypatch.setattr(generated, "import_module", module)
