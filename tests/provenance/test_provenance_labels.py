import json

import numpy as np
import pytest
from provenance_clips import FPS, ball, sunset

from kinemark.errors import RequestError
from kinemark.provenance.labels import LEAST_SHARE, Label, aigc_tag, combined, draw, letter_height


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (144, 256), (720, 1280), (256, 144)])
@pytest.mark.parametrize("text", ["AI 生成", "AI-generated", "AI 생성", "Contains a synthetic performer"])
def test_letters_are_high_enough_at_every_size(size, text):
    assert letter_height(Label(text), *size) >= LEAST_SHARE * min(size)


@pytest.mark.parametrize("clip", [ball, sunset])
def test_it_stands_out_in_the_lower_left_and_leaves_the_rest_alone(clip):
    frames = clip(frames=3)
    drawn = draw(frames, Label("AI 生成"), FPS)
    changed = (drawn != frames).any(axis=(0, 3))
    assert not changed[:128].any()
    box = drawn[0][changed].astype(float) @ [0.2126, 0.7152, 0.0722]
    light, dark = np.percentile(box, [99, 10])
    assert (light / 255 + 0.05) / (dark / 255 + 0.05) > 1.5
    assert not np.array_equal(drawn, frames)


def test_it_lasts_as_long_as_it_should():
    frames = ball(frames=24)
    for label, last in ((Label("AI"), 24), (Label("AI", seconds=2.0), 16)):
        changed = (draw(frames, label, FPS) != frames).any(axis=(1, 2, 3))
        assert changed[:last].all()
        assert not changed[last:].any()


def test_several_labels_become_one_that_satisfies_all():
    both = combined((Label("AI 生成", 0.08, 2.0), Label("AI-generated", 0.06, 3.0), Label("AI 生成")))
    assert both == Label("AI 生成\nAI-generated", 0.08, None)
    assert combined(()) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("",), "1 to 60"),
        (("x" * 61,), "1 to 60"),
        (("ж",), "lacks"),
        (("AI", 0.04), "5 %"),
        (("AI", 0.06, 1.0), "2 s"),
    ],
)
def test_a_label_that_breaks_a_rule_is_a_request_error(arguments, says):
    with pytest.raises(RequestError, match=says):
        Label(*arguments)


def test_a_text_that_cannot_fit_is_a_request_error():
    with pytest.raises(RequestError, match="does not fit"):
        draw(ball(frames=1, height=64, width=64), Label("\n".join(["A synthetic performer " * 2] * 4)), FPS)


def test_the_aigc_tag_names_producer_and_id():
    tag = json.loads(aigc_tag("Kinemark", "0000abcd"))
    assert (tag["Label"], tag["ContentProducer"], tag["ProduceID"]) == ("1", "Kinemark", "0000abcd")
    assert (tag["ContentPropagator"], tag["PropagateID"]) == ("Kinemark", "0000abcd")
