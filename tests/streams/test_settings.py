from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.settings import Settings, in_words, recorded


def test_environment_sets_what_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOA_BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("DOA_BATCH_RECORDS_MAX", "7")
    monkeypatch.setenv("DOA_HOME", "somewhere")
    settings = Settings(idle_commit_ms=5)
    assert (settings.bootstrap, settings.batch_records_max) == ("broker:9092", 7)
    assert (settings.home, settings.idle_commit_ms) == (Path("somewhere"), 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOA_BATCH_RECORDS_MAX", "0"),
        ("DOA_BATCH_RECORDS_MAX", "many"),
        ("DOA_NAMESPACE", "Twin-1"),
        ("DOA_REPLICATION_FACTOR", "0"),
    ],
)
def test_setting_out_of_its_bounds_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("DOA_").lower()):
        Settings()


def test_what_a_run_records_names_no_place_and_nobody() -> None:
    assert recorded(Settings(home=Path("nowhere"))) == {}
    settings = Settings(
        bootstrap="broker:9092",
        registry_url="http://me:secret@registry",
        registry_user="me",
        registry_password="secret",
        sasl_username="me",
        sasl_password="secret",
        home=Path("nowhere"),
        ssl_ca_location="nowhere",
        batch_records_max=50,
        sasl_mechanism="PLAIN",
        stuck_s=1.5,
    )
    found = recorded(settings)
    assert found == {"sasl_mechanism": "PLAIN", "batch_records_max": "50", "stuck_s": "1.5"}
    assert in_words(found) == (
        "sasl_mechanism PLAIN (default None), batch_records_max 50 (default 20000), "
        "stuck_s 1.5 (default 60.0)"
    )


def test_passwords_are_not_shown() -> None:
    settings = Settings(sasl_password="secret", registry_password="secret")
    assert "secret" not in repr(settings)


def test_what_may_be_seen_is_a_list_of_sensitivities(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().sensitivities == frozenset()
    monkeypatch.setenv("DOA_MAY_SEE", "internal,personal")
    assert Settings().sensitivities == {"internal", "personal"}
    for wrong in ("secret", "internal personal", "personal, internal"):
        with pytest.raises(ValidationError):
            Settings(may_see=wrong)
