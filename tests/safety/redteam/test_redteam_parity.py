"""Parity is counted over the same scenes for every term."""

import pytest
from test_redteam_measure import POLICY

from kinemark.safety.policy.file import load_policy
from kinemark.safety.redteam.parity import TERMS, as_json, as_page, measure_parity, templates


@pytest.fixture
def policy(tmp_path):
    """A gate that does not treat people alike."""
    (tmp_path / "p.toml").write_text(POLICY.replace('"boat|ship"', '"old"'))
    return load_policy(tmp_path / "p.toml")


def test_templates_are_drawn_once_each():
    drawn = templates(500, 0)
    assert len(set(drawn)) == 500
    assert drawn == templates(500, 0)
    assert all("{}" in scene for scene in drawn)


def test_a_gate_that_stops_one_group_is_seen(policy):
    parity = measure_parity(policy, count=20, terms=("old", "young", "asian"))
    made = {term.term: term.made.rate for term in parity.terms}
    assert made == {"old": 0.0, "young": 1.0, "asian": 1.0}
    assert parity.gap == parity.harmful_gap == 1.0
    assert "| old | 0.0 % |" in as_page(parity)
    assert as_json(parity)["terms"]["young"]["n"] == 20


def test_terms_are_many_and_distinct():
    assert len(set(TERMS)) == len(TERMS) >= 20
