"""The register: default deny, withdrawing works at once, and what is deleted is gone."""

import datetime as dt

import pytest
from test_consent_record import RECORD, TODAY

from kinemark.errors import FailureError, RequestError
from kinemark.safety.consent.record import read_consent
from kinemark.safety.consent.register import Asked, Register, Use, described, handles

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
FACE = b"the face of nobody at all" * 20


def consent(tmp_path, *changes):
    text = RECORD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "record.yaml"
    path.write_text(text)
    return read_consent(path, today=TODAY)


@pytest.fixture
def register(tmp_path):
    with Register(tmp_path / "consent") as opened:
        yield opened


def asked(**changes):
    fields = {"verb": "generate", "by": "operator", "texts": ["@ada walks"], "photoreal": False, "commercial": False}
    return Asked(**{**fields, **changes})


def test_who_has_no_record_is_refused(register):
    assert "no record" in register.refuses("ada", asked(), now=NOW)


def test_what_was_agreed_to_is_allowed(register, tmp_path):
    entry = register.add(consent(tmp_path), FACE, now=NOW)
    assert (entry.assurance, entry.revoked) == ("attested", None)
    assert register.refuses("ada", asked(), now=NOW) is None
    assert register.refuses("ada", asked(verb="edit"), now=NOW) is None


@pytest.mark.parametrize(
    ("changes", "asks", "said"),
    [
        ([("verbs: [generate, edit]", "verbs: [edit]")], {}, "did not agree to: generate"),
        ([("modalities: [face]", "modalities: [voice]")], {}, "to be seen"),
        ([("audience: all", "audience: listed\n  listed: [bob]")], {}, "does not let 'operator' ask"),
        ([], {"commercial": True}, "commercial"),
        ([], {"photoreal": True}, "not verified"),
        ([], {"texts": ["@ada at a political rally"]}, "not to be shown with this"),
        ([], {"texts": ["@ada with a g.u.n"]}, "not to be shown with this"),
    ],
)
def test_what_was_not_agreed_to_is_refused(register, tmp_path, changes, asks, said):
    register.add(consent(tmp_path, *changes), FACE, now=NOW)
    assert said in register.refuses("ada", asked(**asks), now=NOW)


def test_verified_consent_unlocks_photoreal_and_ends_with_its_day(register, tmp_path):
    register.add(consent(tmp_path), FACE, now=NOW, verified_by="Office")
    assert register.refuses("ada", asked(photoreal=True), now=NOW) is None
    assert "ended" in register.refuses("ada", asked(), now=NOW + dt.timedelta(days=366))


def test_withdrawing_stops_new_uses_lists_old_ones_and_deletes_the_face(register, tmp_path):
    register.add(consent(tmp_path), FACE, now=NOW)
    use = Use("2026-06-01T12:00:00+00:00", "generate", "spark", "ab" * 32)
    register.record_use("ada", use)
    assert register.face("ada") == FACE
    assert register.revoke("ada", now=NOW) == (use,)
    assert "withdrew" in register.refuses("ada", asked(), now=NOW)
    with pytest.raises(RequestError, match="deleted"):
        register.face("ada")
    assert not list((tmp_path / "consent").glob("*.key"))
    assert register.revoke("ada", now=NOW + dt.timedelta(days=1)) == (use,)
    assert register.entry("ada").revoked == NOW.isoformat(timespec="seconds")


def test_the_face_is_nowhere_in_plain(register, tmp_path):
    register.add(consent(tmp_path), FACE, now=NOW)
    assert not any(FACE[:25] in path.read_bytes() for path in (tmp_path / "consent").iterdir())


def test_a_handle_is_never_overwritten(register, tmp_path):
    register.add(consent(tmp_path), FACE, now=NOW)
    for _ in range(2):
        with pytest.raises(RequestError, match="taken"):
            register.add(consent(tmp_path), b"another face", now=NOW)
        register.revoke("ada", now=NOW)


def test_a_damaged_key_or_register_is_told(register, tmp_path):
    register.add(consent(tmp_path), FACE, now=NOW)
    (tmp_path / "consent" / "ada.key").write_bytes(b"short")
    with pytest.raises(FailureError, match="cannot be opened"):
        register.face("ada")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "register.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(FailureError, match="cannot be used"):
        Register(tmp_path / "other")


def test_handles_are_read_from_prompts(register, tmp_path):
    assert handles(["@ada meets @Bob-2.", "mail me at x@ada.org", "@ada again"]) == ("ada", "bob-2")
    entry = register.add(consent(tmp_path), FACE, now=NOW)
    assert described("@Ada waves to @bob", [entry]) == "a tall woman with short grey hair waves to @bob"
