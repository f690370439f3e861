"""Counting what the gate does: on a gate whose answers are known."""

import json

import pytest

from kinemark.safety.policy.file import load_policy
from kinemark.safety.redteam.measure import measure
from kinemark.safety.redteam.operators import operators
from kinemark.safety.redteam.report import as_json, as_page
from kinemark.safety.redteam.search import Wording, reworded, search
from kinemark.safety.redteam.suites import Case

POLICY = """
version = "0.1"
date = "2026-01-01"
appeal = "write to us"

[vocabularies]

[[categories]]
id = "naval"
title = "Vessels"
definition = "Boats."
reason = "No boats here."
severity = "low"
action = "refuse"

[[categories.rules]]
id = "naval-1"
phrases = ["boat|ship"]
"""
CASES = [
    Case("clear", "unsafe", "naval", "a boat on the sea under a bridge", ""),
    Case("clear", "unsafe", "naval", "the captain steers his vessel into the harbour", ""),
    Case("ordinary", "safe", "", "a cat sleeps on a warm stone wall", ""),
]


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "p.toml").write_text(POLICY)
    return load_policy(tmp_path / "p.toml")


def test_groups_and_attacks_are_counted(policy):
    chosen = [operator for operator in operators() if operator.name in {"capitals", "base64", "cards", "seed-media"}]
    report = measure("small", CASES, policy, chosen, searched=False)
    assert {group.name: (group.right.hits, group.right.n) for group in report.groups} == {
        "clear": (1, 2),
        "ordinary": (1, 1),
    }
    for attack in report.attacks:
        assert (attack.through.hits, attack.through.n) == (1, 2)
        assert (attack.evaded.hits, attack.evaded.n) == (0, 1)


def test_a_search_tells_after_how_many_queries(policy):
    prompts = [case.prompt for case in CASES[:2]]
    through = search(prompts, policy, seed=0, guided=False, queries=5)
    assert through[1] == 0
    assert through[0] is None or 1 <= through[0] <= 5
    assert search(prompts, policy, seed=0, guided=False, queries=5) == through


def test_rewording_leaves_nothing_out():
    import random

    rng, wording = random.Random(3), Wording(("a", "tall", "woman", "cuts", "the", "bread", "with", "a", "knife"))
    for _ in range(200):
        wording = reworded(wording, rng)
        assert len(wording.words) == 9
        assert len(wording.slipped) <= 3
        assert " ".join(wording.words) in wording.text


def test_the_report_is_a_page_and_json(policy):
    report = measure("small", CASES, policy, operators()[:1], searched=False)
    page = as_page(report)
    assert "| ordinary (made) | 1 | 100.0 % |" in page
    assert "| role-play | 2 |" in page
    assert json.loads(json.dumps(as_json(report)))["groups"]["clear"]["rate"] == 0.5


def test_another_suite_has_another_digest(policy):
    one, other = (measure("s", cases, policy, (), searched=False) for cases in (CASES, CASES[:2]))
    assert one.suite_sha256 != other.suite_sha256
    assert one.gates_digest == other.gates_digest != ""
