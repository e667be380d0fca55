"""An auditor, who asks why a prediction was wrong, and has nothing but the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

EXAMPLE, WEATHER = "flights.example.planned", "flights.event.weather"
WRONG = "late && probability < 0.3 && value.model_version > 100"
LAST = 5


class Auditor:
    """Types commands, and reads what they print."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self._start = start

    def read(self, *words: str) -> list[Any]:
        """The documents that a command prints."""
        code, out, error = self._start(*words, "-o", "json").wait()
        assert code == 0, error
        lines = out.splitlines() if words[0] == "tap" else [out]
        return [json.loads(line) for line in lines]

    def explain(self) -> dict[str, Any]:
        """One wrong prediction, and whatever it came from."""
        [example] = self.read(
            "tap", EXAMPLE, "--from", "beginning", "--no-follow", "--where", WRONG, "-n", "1"
        )
        [trace] = self.read("trace", example["id"])
        nodes = trace["nodes"]
        [prediction] = [n for n in nodes if n.startswith("flights.prediction.planned[")]
        weather = [n for n in nodes if n.startswith(f"{WEATHER}[")]
        version = nodes[prediction]["model_version"]
        place = example["id"].split("#")[0]
        learnt = self.read("tap", EXAMPLE, "--from", f"{place}#{version - LAST}", "-n", str(LAST))
        [verdict] = self.read("verify", prediction)
        [arrival] = [n for n in example["parents"] if n.startswith("flights.event.arrival[")]
        [below] = self.read("trace", "--down", arrival)
        return {
            "example": example,
            "prediction": nodes[prediction],
            "arrival": nodes[arrival],
            "model": nodes[f"model planned@0#{version}"],
            "weather": [self.read("tap", WEATHER, "--from", one, "-n", "1")[0] for one in weather],
            "learnt": learnt,
            "verdict": verdict,
            "first models": [n for n in below["nodes"] if n.startswith("model planned@")],
        }


def wrong_prediction_is_explained(start: Callable[..., Any]) -> None:
    """What it finds fits together: each thing as it was said, nothing from later on."""
    found = Auditor(start).explain()
    example, said = found["example"]["value"], found["prediction"]["value"]
    assert (example["late"], example["probability"] < 0.3) == (True, True)
    assert (said["flight_id"], said["probability"]) == (
        example["flight_id"],
        example["probability"],
    )
    landed = found["arrival"]["value"]
    assert landed["flight_id"] == example["flight_id"]
    assert landed["delay_minutes"] == example["delay_minutes"] >= 15
    [weather] = found["weather"]
    assert weather["value"]["temperature"] == example["feature"]["temperature"]
    assert weather["value"]["observed_ms"] <= example["asked_ms"] < example["answered_ms"]
    version = example["model_version"]
    assert found["model"]["learnt"] == f"{EXAMPLE}[0]#0..#{version - 1}"
    numbers = [int(one["id"].split("#")[1]) for one in found["learnt"]]
    assert numbers == list(range(version - LAST, version))
    assert max(one["value"]["answered_ms"] for one in found["learnt"]) <= example["asked_ms"]
    assert (found["verdict"]["checked"], found["verdict"]["equal"]) == (1, 1)
    number = int(found["example"]["id"].split("#")[1])
    assert f"model planned@0#{number + 1}" in found["first models"]
