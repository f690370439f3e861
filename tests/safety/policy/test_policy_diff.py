import pytest
from policies import SMALL, written

from kinemark.safety.policy.diff import Change, changes, loosens
from kinemark.safety.policy.file import load_policy

EXCEPTION = '\nunless = ["toy"]'


PHRASES, ACTION = '["red <vessel>"]', 'action = "refuse"'


@pytest.mark.parametrize(
    ("stands", "old", "new", "direction", "place", "what"),
    [
        (PHRASES, PHRASES, '["red <vessel>", "raft"]', "tighter", "naval-1", "phrase added: raft"),
        (PHRASES, '["red <vessel>", "raft"]', PHRASES, "looser", "naval-1", "phrase removed: raft"),
        (PHRASES, PHRASES, PHRASES + EXCEPTION, "looser", "naval-1", "unless added: toy"),
        (PHRASES, PHRASES + EXCEPTION, PHRASES, "tighter", "naval-1", "unless removed: toy"),
        (ACTION, ACTION, 'action = "label"', "looser", "naval-1", "action: refuse -> label"),
        (ACTION, 'action = "label"', 'action = "refuse"', "tighter", "naval-1", "action: label -> refuse"),
        (ACTION, ACTION, f'{ACTION}\nallowed = ["boat house"]', "looser", "naval", "allowed added: boat house"),
        ('"boat|ship"', '"boat|ship"', '"boat|ship", "ferry"', "tighter", "<vessel>", "phrase added: ferry"),
        ('"Vessels"', '"Vessels"', '"Boats"', "wording", "naval", "title"),
        ('"No boats here."', '"No boats here."', '"None."', "wording", "naval", "reason"),
    ],
)
def test_every_change_has_a_direction(tmp_path, stands, old, new, direction, place, what):
    assert stands in SMALL
    before, after = (load_policy(written(tmp_path, SMALL.replace(stands, text))) for text in (old, new))
    found = changes(before, after)
    assert found == (Change(direction, place, what),)
    assert loosens(found) == (direction == "looser")


def test_equal_policies_have_no_changes(tmp_path):
    policy = load_policy(written(tmp_path, SMALL))
    assert changes(policy, policy) == ()


def test_a_category_that_goes_is_looser_and_one_that_comes_tighter(tmp_path):
    other = SMALL[SMALL.index("[[categories]]") :].replace("naval", "aerial")
    small, large = (load_policy(written(tmp_path, text)) for text in (SMALL, SMALL + other))
    assert changes(small, large) == (Change("tighter", "aerial", "category added"),)
    assert changes(large, small) == (Change("looser", "aerial", "category removed"),)


def test_a_rule_that_goes_is_looser(tmp_path):
    rule = '\n[[categories.rules]]\nid = "naval-2"\nphrases = ["raft"]\n'
    small, large = (load_policy(written(tmp_path, text)) for text in (SMALL, SMALL + rule))
    assert changes(large, small) == (Change("looser", "naval-2", "rule removed"),)
    assert changes(small, large) == (Change("tighter", "naval-2", "rule added"),)


def test_a_vocabulary_of_exceptions_makes_looser(tmp_path):
    text = SMALL.replace('["red <vessel>"]', '["red"]\nunless = ["<vessel>"]')
    wider = text.replace('"boat|ship"', '"boat|ship", "ferry"')
    found = changes(load_policy(written(tmp_path, text)), load_policy(written(tmp_path, wider)))
    assert found == (Change("looser", "<vessel>", "phrase added: ferry"),)


def test_digests_are_compared_without_being_read(tmp_path):
    listed = SMALL.replace("[vocabularies]", '[digests]\nslur = ["0123456789abcdef"]\n\n[vocabularies]')
    small, large = (load_policy(written(tmp_path, text)) for text in (SMALL, listed))
    assert [(c.direction, c.place) for c in changes(small, large)] == [("tighter", "#slur")]
    assert [(c.direction, c.place) for c in changes(large, small)] == [("looser", "#slur")]
