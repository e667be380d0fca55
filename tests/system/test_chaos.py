"""The campaign of `doa chaos` on a small scale: real faults leave the streams as they should be,
and workers that break a promise are found out.

Limits of time are not demanded here, where other tests may share the machine; `doa chaos` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.chaos.campaign import Campaign
from ops.chaos.cases import CASES
from ops.chaos.ground import Ground
from streams.topology import discover
from streams.validation import checked

pytestmark = [pytest.mark.broker, pytest.mark.full, pytest.mark.timeout(1_800)]

EVENTS, PARTITIONS, WORKERS, SEED, SNAPSHOT_EVERY = 10_000, 4, 3, 20_130_101, "100"
PROGRAM = [sys.executable, "-m", "ops.chaos.worker", SNAPSHOT_EVERY]
READERS_HELD_UP_S_MAX = 60.0
PLAYED = [name for name, case in CASES.items() if not case.disk_mb]
BREACHES = {  # the fault that finds out what a mutant breaks
    "offsets_outside": "worker_kill",
    "changelog_outside": "worker_kill",
    "state_kept_on_abort": "lost_end_txn",
    "commit_taken_for_granted": "lost_end_txn",
    "snapshot_too_new": "worker_kill",
    "journal_outside": "worker_kill",
    "journal_unordered": "worker_kill",
    "dead_letter_outside": "worker_kill",
    "restore_without_waiting": "worker_kill",
    "no_fencing": "zombie",
}
DEATHS = {  # what the worker of a mutant may say when it dies of its breach
    "changelog_outside": ("is gone, so the model cannot be folded again",),  # state is ahead
}
SIGNS = ("saw something else", "no transaction is open")  # of a witness; of what hangs
BREACH_FAULTS, BREACH_BATCH = 10, 40


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A campaign on a stack of its own, its undisturbed run made."""
    ground = Ground(tmp_path_factory.mktemp("chaos"), checked(discover()), "flights", PARTITIONS)
    try:
        ground.up()
        ground.load(EVENTS, SEED)
        made = Campaign(ground, PROGRAM, SEED, WORKERS, print)
        made.undisturbed()
        yield made
    finally:
        ground.down()


@pytest.mark.parametrize("name", PLAYED)
def test_streams_are_those_of_an_undisturbed_run_whatever_strikes(
    campaign: Campaign, name: str
) -> None:
    assert CASES[name].lacks() is None
    case = replace(CASES[name], p50_s=None, max_s=READERS_HELD_UP_S_MAX)
    outcome = campaign.play(name, case, case.short)
    assert outcome.failures == []
    assert outcome.faults == case.short
    print(f"{name}: readers were held up for {outcome.recoveries_s} s")


@pytest.mark.parametrize("mutant", BREACHES)
def test_worker_that_breaks_a_promise_is_found_out(campaign: Campaign, mutant: str) -> None:
    name = BREACHES[mutant]
    program = [sys.executable, "-m", "tests.system.mutants", mutant, SNAPSHOT_EVERY]
    suspect = Campaign(campaign.ground, program, SEED, WORKERS, print)
    suspect.expect(campaign.expected, campaign.orders)
    batch = BREACH_BATCH if name == "worker_kill" else CASES[name].batch_records
    case = replace(CASES[name], p50_s=None, max_s=None, batch_records=batch)
    found = suspect.play(name, case, BREACH_FAULTS)
    signs = (*SIGNS, *DEATHS.get(mutant, ()))
    told = [failure for failure in found.failures if any(sign in failure for sign in signs)]
    assert found.differences or told, found.failures
    print(f"{mutant}: {found.differences.counts()} {told}")


def test_full_disk_halts_the_broker_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    case = CASES["disk_full"]
    folder = tmp_path_factory.mktemp("disk")
    ground = Ground(folder, checked(discover()), "flights", PARTITIONS, case.disk_mb)
    try:
        ground.up()
        ground.load(EVENTS, SEED)
        made = Campaign(ground, PROGRAM, SEED, WORKERS, print)
        made.undisturbed()
        outcome = made.play("disk_full", replace(case, max_s=None), 1)
        assert (outcome.failures, outcome.faults) == ([], 1)
    finally:
        ground.down()
