"""Streams about people as an analyst gets them: by export, by SQL and in a notebook. What is not
public is looked for as text in all that is printed and written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ops.connect import Connection
from ops.export.where import where_of
from ops.export.write import export
from ops.frames import DETAILS, read, scan
from schemas.derive import avro_schema
from streams.columns.batches import CannotRead
from streams.columns.types import NoSuchColumn
from streams.plan import Plan
from streams.topology import discover
from tests.streams.test_masking import ADA, SECRETS
from tests.system.clinic.flow import Visit
from tests.system.test_tap import TOPIC, Clinic

pytestmark = pytest.mark.broker

APP = ("--app", "tests.system.clinic")
MAY_SEE = "internal,personal"
Ask = Callable[..., tuple[Any, str, str]]
WARD = "oncology"  # which the class calls public, and one writer does not
OPEN = ["_id", "_partition", "_offset", "_appended", "at_ms", "ward"]
MASKED = {
    "_key": "personal",
    "person": "personal",
    "cost": "internal",
    "homes": "personal",
    "contacts": "personal",
}


class Ward(Clinic):
    """A clinic that Ada visits, once as we write it, and once as somebody does who marks more."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        topology, registry = discover(["tests.system.clinic"]), connection.registry
        codec = Plan(topology.flow("clinic"), registry, connection.settings.namespace).codec(Visit)
        schema = avro_schema(Visit)
        for field in schema["fields"]:
            if field["name"] == "ward":
                field["sensitivity"] = "internal"
        stricter = registry.register(f"{self.topic}-value", schema)
        hidden = codec.encode(ADA.model_copy(update={"ward": WARD, "at_ms": 61_000}))
        for value in (codec.encode(ADA), b"\0" + stricter.to_bytes(4, "big") + hidden[5:]):
            self._producer.produce(self.topic, value, b"ada-1815", 0)
        self.sent()


@pytest.fixture
def ward(connection: Connection) -> Ward:
    return Ward(connection)


def leaked(*found: Any) -> list[str]:
    texts = list(map(str, found))
    secrets = (*SECRETS, WARD)
    return [s for s in secrets if any(s in text or s.encode().hex() in text for text in texts)]


def test_nothing_private_is_exported_unless_it_is_asked_for(
    ward: Ward, ask: Ask, tmp_path: Path
) -> None:
    for kind in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"visits.{kind}"
        code, out, error = ask(*APP, "export", TOPIC, str(path))
        assert code == 0, error
        manifest = (tmp_path / f"visits.{kind}.manifest.json").read_text()
        assert leaked(out, error, manifest, *held(path)) == []
        assert "left out, not public: person, cost, homes, contacts, _key; --sensitive" in error
        assert f"null in records of {TOPIC} whose writers mark it: ward (internal); see" in error
        told = json.loads(manifest)
        assert (told["records"], list(told["columns"])) == (2, OPEN)
        assert (told["masked"], told["hidden"]) == (MASKED, {"ward": "internal"})
        assert [len(one) for one in told["schemas"].values()] == [64, 64]

        asked = ("export", TOPIC, str(path), "--sensitive", "--force")
        code, out, error = ask(*APP, *asked, may_see=MAY_SEE)
        assert (code, error) == (0, "")
        assert leaked(*held(path)) == [*SECRETS, WARD]
    assert {row["ward"] for row in pq.read_table(path).to_pylist()} == {"north", WARD}
    assert ask(*APP, "export", TOPIC, str(tmp_path / "a.csv"), "--sensitive")[0] == 1
    asked = ("export", TOPIC, str(tmp_path / "a.csv"), "--columns", "_key")
    code, _, error = ask(*APP, *asked)
    assert (code, (tmp_path / "a.csv").exists()) == (1, False)
    assert "_key of clinic.event.visit is personal; ask for sensitive fields to see it" in error


def held(path: Path) -> list[Any]:
    """What a file holds, as it is and decoded."""
    data = path.read_bytes()
    found: list[Any] = [data.decode("latin-1")]
    return [*found, pq.read_table(path).to_pylist()] if path.suffix == ".parquet" else found


def test_export_takes_what_a_filter_shows(ward: Ward, ask: Ask, tmp_path: Path) -> None:
    for number in range(6):
        ward.visit(number, "eva-1")
    ward.sent()
    path = tmp_path / "visits.jsonl"

    def exported(*words: str, may_see: str = "") -> tuple[int, str, Any]:
        asked = ("export", TOPIC, str(path), "--force", "--columns", "_id,at_ms,ward", *words)
        code, _, error = ask(*APP, *asked, may_see=may_see)
        lines = [json.loads(line) for line in path.read_text().splitlines()] if code == 0 else []
        return code, error, [line["at_ms"] for line in lines]

    code, error, found = exported("--where", "ward == 'south'", "--where", "at_ms != 5")
    assert (code, found) == (0, ["1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.003Z"]), error
    assert "5 not matched, 1 of which it cannot be told" in error
    manifest = json.loads((tmp_path / "visits.jsonl.manifest.json").read_text())
    assert manifest["records"] == 2
    assert manifest["where"] == {
        "all": ["ward == 'south'", "at_ms != 5"],
        "not_matched": 5,
        "not_told": 1,  # its writer hides the ward
    }
    code, error, found = exported("--where", "person == 'ada-1815'")
    assert (code, found) == (1, [])
    assert "names person, which is personal: a filter may only ask for what may be seen" in error
    code, error, found = exported("--where", "warde == 'north'")
    assert code == 1 and "'warde' is no field of clinic.event.visit; perhaps: ward" in error
    asked = ("--sensitive", "--where", f"person == 'ada-1815' && ward == '{WARD}'")
    found = exported(*asked, may_see=MAY_SEE)[2]
    assert found == ["1970-01-01T00:01:01.000Z"]

    reading = scan(TOPIC, app=["tests.system.clinic"], connection=ward.connection)
    where = where_of(reading, ["ward == 'south'"], sensitive=False)
    twice = [export(reading, path, where=where)["where"] for _ in range(2)]
    assert twice == [{"all": ["ward == 'south'"], "not_matched": 4, "not_told": 1}] * 2


def test_nothing_private_is_answered_unless_it_is_asked_for(ward: Ward, ask: Ask) -> None:
    ward.garbage()
    ward.sent()
    every = (*APP, "sql", f'select * from "{TOPIC}" order by at_ms', "--skip-undecodable")
    for output in ("json", "csv", "table"):
        code, out, error = ask(*every, "-o", output)
        assert code == 0, error
        assert leaked(out, error) == []
    answer = json.loads(ask(*every, "-o", "json")[1])
    assert [column["name"] for column in answer["columns"]] == OPEN
    assert [row[5] for row in answer["rows"]] == ["north", None]
    assert (answer["masked"], answer["hidden"]) == ({TOPIC: MASKED}, {TOPIC: {"ward": "internal"}})
    assert answer["undecodable"] == {
        "records": 1,
        "told": [f"{TOPIC}[0]@2: WIRE_FORMAT: ‹personal›"],
    }

    asked = (*APP, "sql", f'select person from "{TOPIC}"', "--skip-undecodable")
    code, out, error = ask(*asked)
    assert (code, out) == (1, "")
    assert "person: not public, see --sensitive" in error
    code, out, error = ask(*APP, "sql", f'select ward from "{TOPIC}"')
    assert (code, out, leaked(error)) == (1, "", [])
    assert "@2: WIRE_FORMAT: ‹personal›; ask for undecodable records to be left out" in error

    code, out, error = ask(*every, "--sensitive", "-o", "json", may_see=MAY_SEE)
    assert (code, leaked(out)) == (0, [*SECRETS, WARD])
    assert json.loads(out)["hidden"] == {}


def test_query_is_answered_where_no_snapshot_can_be_kept(
    ward: Ward, start: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "no-folder"
    home.touch()
    query = (*APP, "sql", f'select at_ms from "{TOPIC}" limit 1', "-o", "json")
    code, out, error = start(*query, DOA_HOME=home).wait()
    assert (code, len(json.loads(out)["rows"])) == (0, 1), error
    assert re.fullmatch(r".*cannot be written: .*; so this snapshot is not kept\n.*\n.*\n", error)
    code, out, error = start(*query, "--snapshot", "noon", DOA_HOME=home).wait()
    assert (code, out) == (1, "")
    assert re.search(r"cannot be (read|written): ", error)


def test_nothing_private_is_in_a_table_unless_it_is_asked_for(ward: Ward) -> None:
    app, connection = ["tests.system.clinic"], ward.connection
    table = read(TOPIC, app=app, connection=connection)
    assert leaked(table.to_pylist(), table.schema.metadata) == []
    assert table["ward"].to_pylist() == ["north", None]
    details = json.loads(table.schema.metadata[DETAILS])
    assert (details["masked"], details["hidden"]) == (MASKED, {"ward": "internal"})
    reading, met = scan(TOPIC, app=app, connection=connection), dict[int, Any]()
    for batch in reading.batches(schemas=met):
        assert "hidden" not in json.loads(batch.schema.metadata[DETAILS])
    assert reading.hidden(met) == {"ward": "internal"}
    with pytest.raises(NoSuchColumn, match=r"cost of clinic\.event\.visit is internal"):
        read(TOPIC, columns=["cost"], app=app, connection=connection)
    settings = connection.settings.model_copy(update={"may_see": MAY_SEE})
    seeing = replace(connection, settings=settings)
    assert leaked(read(TOPIC, app=app, connection=seeing).to_pylist()) == []
    seen = read(TOPIC, app=app, connection=seeing, sensitive=True)
    assert leaked(seen.to_pylist()) == [*SECRETS, WARD]
    assert json.loads(seen.schema.metadata[DETAILS])["hidden"] == {}
    ward.garbage()
    ward.sent()
    with pytest.raises(CannotRead, match=r"visit\[0\]@2: WIRE_FORMAT: ‹personal›; ask"):
        read(TOPIC, app=app, connection=connection)
