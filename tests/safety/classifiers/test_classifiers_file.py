"""The operator's file of classifiers, read strictly."""

import pytest

from kinemark.errors import RequestError
from kinemark.safety.classifiers.file import load_classifiers
from kinemark.safety.classifiers.seam import Classifiers

WHOLE = """
[[moderation]]
url = "http://127.0.0.1:1/v1"
model = "omni"
key_file = "key"
pictures = ["sexual", "violence"]

[[chat]]
url = "http://127.0.0.1:1/v1"
model = "guard"
family = "llama-guard"

[[guard]]
folder = "granite"
family = "granite-guardian"

[[pictures]]
folder = "nsfw"
[pictures.labels]
nsfw = "sexual"
"""


def test_without_a_file_there_are_none(tmp_path):
    assert load_classifiers(tmp_path / "classifiers.toml") == Classifiers()


def test_a_whole_file(tmp_path):
    (tmp_path / "classifiers.toml").write_text(WHOLE)
    (tmp_path / "key").write_text("secret\n")
    found = load_classifiers(tmp_path / "classifiers.toml")
    assert len(found.prompts) == 3
    assert found.prompts[0].__self__.endpoint.key == "secret"
    assert found.prompts[2].__self__.folder == tmp_path / "granite"
    assert [picture.sees for picture in found.pictures] == [{"sexual", "violence"}, {"sexual"}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[chat", "cannot be used"),
        ("x = 1", "x: Extra inputs"),
        ("[[chat]]\nurl = 'http://h'\nmodel = 'm'", "chat.0.family: Field required"),
        ("[[chat]]\nurl = 'ftp://h'\nmodel = 'm'\nfamily = 'policy'", "chat.0.url"),
        ("[[chat]]\nurl = 'http://h'\nmodel = 'm'\nfamily = 'gpt'", "chat.0.family"),
        ("[[pictures]]\nfolder = 'f'\nlabels = {}", "pictures.0.labels"),
        ("[[moderation]]\nurl = 'http://h'\nmodel = 'm'\nkey_file = 'none'", "No such file"),
        ("chat = 3", "chat"),
    ],
)
def test_mistakes_are_told(tmp_path, text, told):
    (tmp_path / "classifiers.toml").write_text(text)
    with pytest.raises(RequestError, match=r"the classifiers .* cannot be used") as caught:
        load_classifiers(tmp_path / "classifiers.toml")
    assert told in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "classifiers.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="cannot read"):
        load_classifiers(tmp_path / "classifiers.toml")
