import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.provenance.signing.given import GivenSpan, describe_spans, given_spans


@pytest.mark.parametrize(
    ("caps", "spans"),
    [
        ([1, 1, 1, 1], ()),
        ([0, 0, 1, 1], (GivenSpan(0, 1),)),
        ([1, 0, 0, 1], (GivenSpan(0.5, 1.5),)),
        ([0, 0.5, 0.7, 0], (GivenSpan(0, 0.5), GivenSpan(0.5, 1.5, "changed"), GivenSpan(1.5, 2))),
    ],
)
def test_runs_of_given_frames(caps, spans):
    assert given_spans(caps, 2) == spans


@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=40))
def test_every_given_frame_is_in_exactly_one_span(caps):
    spans = given_spans(caps, 1)
    for frame, cap in enumerate(caps):
        holding = [span for span in spans if span.start <= frame < span.stop]
        assert len(holding) == (cap < 1)
        assert all((span.how == "kept") == (cap == 0) for span in holding)


@pytest.mark.parametrize(
    ("spans", "seconds", "words"),
    [
        ((), 4, "generated"),
        ((GivenSpan(0, 3.2),), 6, "given 0.0-3.2 s, generated 3.2-6.0 s"),
        (
            (GivenSpan(1, 2), GivenSpan(4, 6)),
            6,
            "generated 0.0-1.0 s, given 1.0-2.0 s, generated 2.0-4.0 s, given 4.0-6.0 s",
        ),
        ((GivenSpan(0, 4, "changed"),), 4, "given 0.0-4.0 s and changed in part"),
    ],
)
def test_words(spans, seconds, words):
    assert describe_spans(spans, seconds) == words
