import pytest

from kinemark.errors import RequestError
from kinemark.spark import TARGET
from kinemark.storyboard import read_board


def board(tmp_path, text):
    path = tmp_path / "board.yaml"
    path.write_text(text)
    return path


def test_texts_hold_until_the_next(tmp_path):
    timeline, notes = read_board(
        board(tmp_path, "size: 256x144\nseconds: 12\ncards:\n - {at: 0, text: noon}\n - {at: 6, text: ' sunset '}\n"),
        TARGET,
    )
    assert (timeline.num_frames, timeline.fps, timeline.size, notes) == (96, 8, (144, 256), ())
    assert [(span.text, span.start) for span in timeline.prompts] == [("noon", 0), ("sunset", 48)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no fields"),
        ("[1]", "no fields"),
        ("a: {", "no YAML"),
        ("seconds: 4", "cards"),
        ("seconds: 4\ncards: []", "cards"),
        ("seconds: 61\ncards: [{at: 0, text: a}]", "seconds is 61"),
        ("seconds: .nan\ncards: [{at: 0, text: a}]", "seconds is nan"),
        ("seconds: 4\ncards: [{at: -1, text: a}]", "cards.1.at is -1"),
        ("seconds: 4\ncards: [{at: soon, text: a}]", "cards.1.at is 'soon'"),
        ("seconds: 4\ncards: [{at: 0, words: a}]", "cards.1.words"),
        ("seconds: 4\ncards: [{at: 0}]", "card 1 has neither"),
        ("seconds: 4\ncards: [{at: 0, text: a, image: a.png, clip: b.mp4}]", "card 1 has a picture and a clip"),
        ("seconds: 4\ncards: [{at: 2, text: a}, {at: 1, text: b}]", "card 2 at 1 s does not come after card 1"),
        ("seconds: 4\ncards: [{at: 1, text: a}, {at: 1.01, text: b}]", "card 2 at 1.01 s does not come after"),
        ("seconds: 4\ncards: [{at: 5, text: a}]", "card 1 at 5 s comes after the film's end"),
        ("seconds: 4\ncards: [{at: 0, text: a}, {at: 5, text: b}]", "card 2 at 5 s comes after"),
        ("seconds: 4\nsize: big\ncards: [{at: 0, text: a}]", "'big'"),
        ("seconds: 4\ncards: [{at: 0, image: nowhere.png}]", "nowhere.png"),
    ],
)
def test_a_board_that_cannot_be_read_says_where(tmp_path, text, complaint):
    with pytest.raises(RequestError) as told:
        read_board(board(tmp_path, text), TARGET)
    assert complaint in str(told.value)
