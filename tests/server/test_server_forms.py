"""JSON and forms with brackets are one and the same object."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.server.forms import nested
from kinemark.server.problems import ProblemError

SCENES = [{"p": "x", "t": "0"}, {"p": "y", "t": "4"}]


@pytest.mark.parametrize(
    ("items", "whole"),
    [
        ([("prompt", "a"), ("seconds", "4")], {"prompt": "a", "seconds": "4"}),
        ([("input_reference[file_id]", "f")], {"input_reference": {"file_id": "f"}}),
        ([("video[id]", "v"), ("prompt", "a")], {"video": {"id": "v"}, "prompt": "a"}),
        ([("characters[][id]", "a"), ("characters[][id]", "b")], {"characters": [{"id": "a"}, {"id": "b"}]}),
        ([("l[]", "1"), ("l[]", "2")], {"l": ["1", "2"]}),
        ([("o[a][b]", "1"), ("o[a][c]", "2")], {"o": {"a": {"b": "1", "c": "2"}}}),
        # Node sends item by item, Python key by key.
        (
            [("s[][p]", "x"), ("s[][t]", "0"), ("s[][p]", "y"), ("s[][t]", "4")],
            {"s": [{"p": "x", "t": "0"}, {"p": "y", "t": "4"}]},
        ),
        (
            [("s[][p]", "x"), ("s[][p]", "y"), ("s[][t]", "0"), ("s[][t]", "4")],
            {"s": [{"p": "x", "t": "0"}, {"p": "y", "t": "4"}]},
        ),
    ],
)
def test_brackets(items, whole):
    assert nested(items) == whole


@pytest.mark.parametrize("name", ["", "[]", "[a]", "a[", "a]", "a[b", "a[b]c", "a[b][c][d][e][f][g]"])
def test_names_that_are_none(name):
    with pytest.raises(ProblemError, match="has no name like a, a\\[b\\]"):
        nested([(name, "x")])


@pytest.mark.parametrize(
    "items", [[("a", "1"), ("a[b]", "2")], [("a", "1"), ("a[]", "2")], [("a[b]", "1"), ("a[]", "2")]]
)
def test_a_value_and_what_it_holds_contradict_each_other(items):
    with pytest.raises(ProblemError, match="is a value in one place and holds others in another; send JSON"):
        nested(items)


_NAMES = st.text("ab[]", max_size=12)


@given(st.lists(st.tuples(_NAMES, st.text(max_size=3)), max_size=12))
def test_any_form_is_an_object_or_an_error(items):
    with suppress(ProblemError):
        json.dumps(nested(items))


_LEAVES = st.text(max_size=4)
_WHOLES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    _LEAVES
    | st.lists(_LEAVES, min_size=1, max_size=3)
    | st.dictionaries(st.text("xy", min_size=1, max_size=2), _LEAVES, min_size=1),
    max_size=4,
)


@given(_WHOLES)
def test_an_object_survives_its_form(whole):
    items = []
    for key, value in whole.items():
        if isinstance(value, str):
            items.append((key, value))
        elif isinstance(value, list):
            items += [(f"{key}[]", one) for one in value]
        else:
            items += [(f"{key}[{inner}]", one) for inner, one in value.items()]
    assert nested(items) == whole
