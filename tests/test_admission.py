"""What may be made: prompts in other words, people with consent, given frames without strangers' faces."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from drawn_face import drawn_face
from kinemark.admission import admit, enter_uses, require_words
from kinemark.errors import RefusedError
from kinemark.provenance.records.exceptions import sign_exception
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.signing.keys import require_keys
from kinemark.safety.consent.record import Consent, Scope
from kinemark.safety.consent.register import Register
from kinemark.safety.creators import choose
from kinemark.safety.decision import Decision
from kinemark.settings import Settings
from kinemark.timeline import Timeline, video_from_frames

FORBIDDEN = ["train"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


def text(prompt: str) -> Timeline:
    return Timeline.from_text(prompt, num_frames=5, fps=8, size=(256, 256))


def animated(picture_HWC: np.ndarray, prompt: str) -> Timeline:
    return Timeline.from_image(video_from_frames(picture_HWC[None])[0], prompt, num_frames=9, fps=8)


def enter(settings: Settings) -> None:
    until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30)
    scope = Scope(verbs=["edit"], modalities=["face"], audience="all", forbidden=FORBIDDEN, until=until)
    consent = Consent(handle="ada", description="a robot", given_by="person", adult=True, proof="form", scope=scope)
    with Register(settings.consent_dir) as register:
        register.add(consent, b"face", now=dt.datetime.now(dt.UTC))


def test_an_ordinary_prompt_is_made_as_it_is_and_leaves_no_register(settings):
    admitted = admit(require_words(text("a red sailboat at sunset"), settings), settings, photoreal=False)
    assert admitted.texts == ["a red sailboat at sunset"]
    assert not settings.consent_dir.exists()


def test_a_brand_is_made_in_other_words_and_the_judgement_says_so(settings):
    admitted = admit(require_words(text("a red ferrari by the sea"), settings), settings, photoreal=False)
    assert admitted.texts == ["a red sports car by the sea"]
    assert "rewrite" in {judgement.action for judgement in admitted.judgements}


def test_who_is_not_registered_is_not_shown(settings):
    with pytest.raises(RefusedError, match="no record of consent for @ada"):
        admit(require_words(text("@ada waves"), settings), settings, photoreal=False)


def test_consent_is_for_what_it_says(settings):
    enter(settings)
    with pytest.raises(RefusedError, match="did not agree to: generate"):
        admit(require_words(text("@ada waves"), settings), settings, photoreal=False)


def test_a_face_needs_somebody_who_agreed_to_it(settings):
    with pytest.raises(RefusedError, match="A face is seen"):
        admit(require_words(animated(drawn_face(), "a robot waves"), settings), settings, photoreal=False)
    enter(settings)
    admitted = admit(require_words(animated(drawn_face(), "@ada waves"), settings), settings, photoreal=False)
    assert admitted.texts == ["a robot waves"]
    assert [entry.consent.handle for entry in admitted.people] == ["ada"]
    with pytest.raises(RefusedError, match="not to be shown with this"):
        admit(require_words(animated(drawn_face(), "@ada in a train"), settings), settings, photoreal=False)


def test_a_picture_without_a_face_is_taken(settings):
    plain = np.full((256, 256, 3), 90, np.uint8)
    assert admit(require_words(animated(plain, "a robot waves"), settings), settings, photoreal=False).people == ()


def test_the_person_sees_the_use_and_not_the_prompt(settings):
    enter(settings)
    admitted = admit(require_words(animated(drawn_face(), "@ada waves"), settings), settings, photoreal=False)
    enter_uses(admitted, Decision("1", "p", "ab" * 32, ()), "spark", settings)
    with Register(settings.consent_dir) as register:
        (use,) = register.uses("ada")
    assert (use.verb, use.model, use.frames_digest) == ("edit", "spark", "ab" * 32)
    assert b"waves" not in (settings.consent_dir / "register.sqlite").read_bytes()


def test_a_photoreal_model_needs_somebody_to_look_or_a_signed_exception(settings):
    with pytest.raises(RefusedError, match="no classifier looks at what comes out") as caught:
        admit(require_words(text("a red boat at sea"), settings), settings, photoreal=True)
    assert caught.value.decision.deciding.rule == "no-classifier"
    keys = require_keys(settings.keys_dir)
    with Ledger.open(settings.ledger_path, create=True) as ledger:
        now = dt.datetime.now(dt.UTC)
        sign_exception(ledger, keys, "photoreal-without-classifier", by="Kim", reason="trial", now=now)
    admitted = admit(require_words(text("a red boat at sea"), settings), settings, photoreal=True)
    assert {"content", "text", "symbols", "faces"} <= set(admitted.content.looks)
    assert "sexual" in admitted.content.unseen


def test_a_photoreal_model_with_a_classifier_is_asked_in_english_alone(settings):
    settings.classifiers_path.write_text('[[pictures]]\nfolder = "nsfw"\nlabels = { nsfw = "sexual" }\n')
    admitted = admit(require_words(text("a red boat at sea"), settings), settings, photoreal=True)
    assert "sexual" not in admitted.content.unseen
    with pytest.raises(RefusedError, match="cannot be relied on"):
        admit(require_words(text("кошка спит на красном диване"), settings), settings, photoreal=True)
    admit(require_words(text("кошка спит на красном диване"), settings), settings, photoreal=False)


def test_classifiers_of_the_operator_are_asked(settings):
    settings.classifiers_path.write_text('[[chat]]\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\nfamily = "policy"\n')
    with pytest.raises(RefusedError, match="prompt gate failed"):
        admit(require_words(text("a red boat at sea"), settings), settings, photoreal=False)


def test_creators_who_opted_out_are_not_asked_for(settings):
    now = dt.datetime.now(dt.UTC)
    choose(settings.creators_path, "Wendeline Zorquist", "style", "out", proof="mail", now=now)
    admitted = admit(
        require_words(text("a boat in the style of Wendeline Zorquist"), settings), settings, photoreal=False
    )
    assert "Zorquist" not in admitted.texts[0]
