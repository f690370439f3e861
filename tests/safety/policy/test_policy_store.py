import datetime as dt
import json

import pytest
from policies import written

from kinemark.errors import FailureError, RequestError
from kinemark.safety.policy.file import SHIPPED, load_policy
from kinemark.safety.policy.store import PolicyStore, policy_in_force
from kinemark.settings import Settings

VERSION = load_policy().version
TODAY = dt.date(2026, 3, 1)
TIGHTER = (
    SHIPPED.read_text()
    .replace(f'version = "{VERSION}"', 'version = "9.1.0"')
    .replace('"strobe|', '"laser show", "strobe|')
)
assert TIGHTER.count("laser show") == 1


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policy")


def looser():
    text = SHIPPED.read_text().replace(f'version = "{VERSION}"', 'version = "9.1.0"')
    changed = text.replace('    "cannibal*",\n', "")
    assert changed != text
    return changed


def test_without_a_policy_of_its_own_the_one_that_ships_is_in_force(tmp_path):
    assert policy_in_force(Settings(tmp_path)).version == VERSION
    assert not (tmp_path / "policy").exists()


def test_a_tighter_policy_may_come_into_force_on_the_same_day(store, tmp_path):
    proposal, found = store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    assert [change.direction for change in found] == ["tighter", "wording"]
    assert proposal.comment_until == "2026-03-01"
    assert store.adopt("9.1.0", today=TODAY).version == "9.1.0"
    assert store.current().version == "9.1.0"
    assert store.proposals() == []
    assert (tmp_path / "policy" / "adopted" / "9.1.0.toml").read_text() == TIGHTER
    assert policy_in_force(Settings(tmp_path)).version == "9.1.0"


def test_a_looser_one_waits_for_its_comments(store, tmp_path):
    with pytest.raises(RequestError, match=r"13 days are too few.*14 days at least"):
        store.propose(written(tmp_path, looser()), today=TODAY, days=13)
    store.propose(written(tmp_path, looser()), today=TODAY, days=14)
    store.comment("9.1.0", " not so fast ")
    assert [proposal.comments for proposal in store.proposals()] == [("not so fast",)]
    with pytest.raises(RequestError, match="open to comment until 2026-03-15"):
        store.adopt("9.1.0", today=dt.date(2026, 3, 14))
    assert store.adopt("9.1.0", today=dt.date(2026, 3, 15)).version == "9.1.0"


def test_what_was_changed_after_it_was_proposed_is_not_adopted(store, tmp_path):
    store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    (tmp_path / "policy" / "proposed" / "9.1.0.toml").write_text(looser())
    with pytest.raises(FailureError, match="is not what was proposed"):
        store.adopt("9.1.0", today=TODAY)
    assert store.current().version == VERSION


def test_a_proposal_is_about_one_policy_in_force(store, tmp_path):
    store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    store.propose(written(tmp_path, TIGHTER.replace("9.1.0", "9.2.0")), today=TODAY, days=0)
    store.adopt("9.2.0", today=TODAY)
    with pytest.raises(RequestError, match=r"in force is now 9\.2\.0"):
        store.adopt("9.1.0", today=TODAY)


def test_a_version_is_used_once(store, tmp_path):
    store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    with pytest.raises(RequestError, match="used before"):
        store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    store.adopt("9.1.0", today=TODAY)
    with pytest.raises(RequestError, match="used before"):
        store.propose(written(tmp_path, TIGHTER.replace("laser show", "disco")), today=TODAY, days=0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SHIPPED.read_text(), "changes nothing"),
        (TIGHTER.replace("9.1.0", "../1"), "the version is '../1'"),
        (TIGHTER.replace('version = "9.1.0"', f'version = "{VERSION}"'), "used before"),
        ("nonsense", "is not TOML"),
    ],
)
def test_what_cannot_be_proposed_is_said(store, tmp_path, text, complaint):
    with pytest.raises(RequestError, match=complaint):
        store.propose(written(tmp_path, text), today=TODAY, days=30)
    assert not (tmp_path / "policy").exists()


def test_an_unknown_version_and_an_empty_comment(store, tmp_path):
    with pytest.raises(RequestError, match="no policy of version '9' is proposed; proposed are: none"):
        store.adopt("9", today=TODAY)
    with pytest.raises(RequestError, match="no policy of version"):
        store.comment("../../etc/passwd", "hello")
    store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    with pytest.raises(RequestError, match="the comment is empty"):
        store.comment("9.1.0", "  ")


@pytest.mark.parametrize("damage", ["", "[]", "{}", json.dumps({"comments": []})])
def test_a_damaged_proposal_is_named(store, tmp_path, damage):
    store.propose(written(tmp_path, TIGHTER), today=TODAY, days=0)
    (tmp_path / "policy" / "proposed" / "9.1.0.json").write_text(damage)
    with pytest.raises(FailureError, match=r"9\.1\.0\.json is damaged"):
        store.proposals()
