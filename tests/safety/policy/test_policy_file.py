"""The policy file: that it is read strictly, and that the one that ships says what it must."""

import re

import pytest
from policies import SMALL, written

from kinemark.errors import RequestError
from kinemark.safety.policy.file import SHIPPED, Policy, load_policy
from kinemark.safety.policy.phrases import word_digest


def test_a_small_policy_is_read(tmp_path):
    policy = load_policy(written(tmp_path, SMALL))
    assert policy.version == "0.1"
    assert re.fullmatch("[0-9a-f]{64}", policy.digest)
    assert [matcher.rule.id for matcher in policy.matchers] == ["naval-1"]
    assert policy.appeal_for(policy.category("naval")) == "write to us"


def test_every_byte_counts_in_the_digest(tmp_path):
    first = load_policy(written(tmp_path, SMALL)).digest
    assert load_policy(written(tmp_path, SMALL + "# a note\n")).digest != first


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('action = "refuse"', 'action = "forbid"'), r"categories\.0\.action.*line 9"),
        (('reason = "No boats here."', ""), r"categories\.0\.reason.*line 9"),
        (('title = "Vessels"', 'title = "Vessels"\ncolour = "red"'), r"categories\.0\.colour"),
        (("red <vessel>", "red <car>"), r"naval, rule naval-1: unknown vocabulary <car>; known: vessel"),
        (("red <vessel>", "..."), r"naval-1.*holds no word"),
        (('version = "0.1"', "version = 1"), r"version"),
        (('date = "2026-01-01"', 'date = "'), r"not TOML.*line"),
        (('[vocabularies]\nvessel = ["boat|ship"]', ""), r"vocabularies"),
        (('id = "naval-1"', 'id = ""'), r"id"),
    ],
)
def test_an_error_is_named_with_its_place(tmp_path, change, complaint):
    assert change[0] in SMALL
    with pytest.raises(RequestError, match=f"(?s){complaint}"):
        load_policy(written(tmp_path, SMALL.replace(*change)))


def test_ids_are_unique(tmp_path):
    category = SMALL[SMALL.index("[[categories]]") :]
    with pytest.raises(RequestError, match="category ids must be unique; repeated: naval"):
        load_policy(written(tmp_path, SMALL + category))


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(RequestError, match=r"nowhere\.toml"):
        load_policy(tmp_path / "nowhere.toml")


def test_an_unknown_category_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(RequestError, match=r"'aerial'; it has naval"):
        load_policy(written(tmp_path, SMALL)).category("aerial")


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load_policy()


def test_the_shipped_policy_covers_what_it_must(shipped):
    assert {category.id for category in shipped.categories} == {
        "minors",
        "sexual",
        "violence",
        "animal-cruelty",
        "hate",
        "self-harm",
        "dangerous-acts",
        "crime",
        "harassment",
        "deception",
        "likeness",
        "style",
        "characters",
        "privacy",
        "photosensitive",
    }


def test_every_category_has_both_sides_of_its_line(shipped):
    for category in shipped.categories:
        assert len(category.near_misses) >= 3, category.id
        # No prompt about minors is written down: tests/safety/prompt/test_prompt_minors.py composes its own.
        assert category.examples or category.id == "minors", category.id


def test_a_refusal_says_something_a_person_can_use(shipped):
    for category in shipped.categories:
        assert category.reason.endswith((".", "!"))
        assert shipped.appeal_for(category)


def test_the_strictest_rules_come_first(shipped):
    actions = [matcher.action for matcher in shipped.matchers]
    assert actions == sorted(actions, key=["refuse", "rewrite", "label", "allow"].index)


def test_names_and_insults_stand_as_digests_only(shipped):
    assert set(shipped.digests) == {"slur", "person", "artist"}
    text = SHIPPED.read_text().lower()
    for entry in re.findall(r"[a-z]+ [a-z]+", text):
        assert not any(word_digest(entry) in entries for entries in shipped.digests.values()), entry
