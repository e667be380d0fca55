"""The pages say what is so: their code is in the example, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.stack.lock import read_lock

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "ops" / "guide").glob("*.md"))]
README_LINES_MAX = 120
TIDES = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "ops" / "examples" / "tides").glob("*.py")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_page_is_that_of_the_example(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line for line in lines if f"{line}\n" not in TIDES] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_is_short_and_says_what_is_downloaded() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    lock = read_lock()
    size = sum(artifact.bytes_count for artifact in lock.artifacts)
    assert f"({size / 1e6:.0f} MB)" in text
    assert f"Kafka {lock.kafka_version} at" in text
    assert f"registry {lock.registry_version} at" in text
    assert text.count("\n") <= README_LINES_MAX
