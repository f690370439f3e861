import json
import shutil
from dataclasses import replace

import av
import numpy as np
import pytest
from provenance_clips import FACTS, FPS, ball, sunset, texture

from command_line import decision
from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.errors import FailureError, RequestError
from kinemark.provenance.detect import verify
from kinemark.provenance.findings import FINGERPRINT_MATCH
from kinemark.provenance.marks import watermark
from kinemark.provenance.release import release
from kinemark.provenance.signing.keys import load_keys
from kinemark.settings import Settings


def verdicts(found):
    return {finding.signal: finding.verdict for finding in found.findings}


def detail(found, signal):
    return next(finding.detail for finding in found.findings if finding.signal == signal)


def remux(source, target):
    """Copy the stream into a new container, as platforms do: credentials are lost, pixels stay."""
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = writing.add_stream_from_template(reading.streams.video[0])
        for packet in reading.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                writing.mux(packet)


@pytest.fixture
def empty(tmp_path):
    """An installation that has made nothing yet."""
    return Settings(home=tmp_path / "elsewhere")


def test_a_file_as_it_was_released(released_once):
    settings, released = released_once
    found = verify(released.path, settings)
    assert found.recognised
    assert found.made_by == "this_installation"
    assert found.id == released.id
    assert verdicts(found) == {
        "credentials": "match",
        "watermark": "match",
        "presence": "match",
        "fingerprint": "match",
        "trace": "none",
        "other": "none",
    }
    assert "confirmed by the ledger" in detail(found, "watermark")["says"]
    assert detail(found, "watermark")["stage"] == "quick"
    [(start, stop, content, _)] = detail(found, "watermark")["spans"]
    assert (start, stop, content) == (0, pytest.approx(9 / FPS, abs=0.01), "confirmed")
    assert released.id in found.summary


def test_the_machine_readable_answer_keeps_its_contract(released_once):
    settings, released = released_once
    answer = json.loads(json.dumps(verify(released.path, settings).to_dict()))
    assert {"recognised", "made_by", "id", "findings"} <= answer.keys()
    for finding in answer["findings"]:
        assert {"signal", "verdict", "id", "detail"} <= finding.keys()
        assert finding["signal"] in {"credentials", "watermark", "presence", "fingerprint", "trace", "other"}
        assert finding["verdict"] in {"match", "none", "invalid", "forged", "hint"}
        assert finding["detail"]["says"]


def test_stripped_of_its_credentials_the_mark_still_knows(released_once, tmp_path):
    settings, released = released_once
    remux(released.path, tmp_path / "stripped.mp4")
    found = verify(tmp_path / "stripped.mp4", settings)
    assert (found.made_by, found.id) == ("this_installation", released.id)
    assert verdicts(found)["credentials"] == "none"
    assert verdicts(found)["watermark"] == "match"


def test_encoded_again_the_mark_and_the_fingerprint_still_know(released_once, tmp_path):
    settings, released = released_once
    encode_mp4(read_video(released.path).frames_THWC, FPS, tmp_path / "again.mp4", crf=28)
    found = verify(tmp_path / "again.mp4", settings)
    assert (found.made_by, found.id) == ("this_installation", released.id)
    assert verdicts(found) | {"trace": "none", "other": "none"} == {
        "other": "none",
        "credentials": "none",
        "watermark": "match",
        "presence": "match",
        "fingerprint": "match",
        "trace": "none",
    }


def test_a_flipped_byte_of_the_picture_is_invalid(released_once, tmp_path):
    settings, released = released_once
    content = bytearray(released.path.read_bytes())
    content[-300] ^= 0x10
    (tmp_path / "changed.mp4").write_bytes(content)
    found = verify(tmp_path / "changed.mp4", settings)
    assert verdicts(found)["credentials"] == "invalid"
    assert found.made_by == "this_installation"  # the mark says so


def test_the_mark_is_read_without_a_ledger(released_once, tmp_path):
    settings, released = released_once
    shutil.copytree(settings.keys_dir, tmp_path / "keys_only" / "keys")
    remux(released.path, tmp_path / "stripped.mp4")
    found = verify(tmp_path / "stripped.mp4", Settings(home=tmp_path / "keys_only"))
    assert (found.made_by, found.id) == ("this_installation", released.id)
    assert "content unconfirmed" in detail(found, "watermark")["says"]


def test_elsewhere_it_is_an_unknown_installation(released_once, empty):
    found = verify(released_once[1].path, empty)
    assert found.made_by == "unknown_installation"
    assert not found.recognised
    assert verdicts(found)["credentials"] == "hint"
    assert found.id == released_once[1].id
    assert "nobody known here" in found.summary
    assert not empty.home.exists()  # looking makes nothing


def test_an_operator_whose_root_was_added_is_named(released_once, empty):
    settings, released = released_once
    (empty.home / "trust").mkdir(parents=True)
    (empty.home / "trust" / "studio.pem").write_text(load_keys(settings.keys_dir).root_pem)
    found = verify(released.path, empty)
    assert found.made_by == "operator:studio"
    assert found.recognised
    assert "studio" in found.summary


@pytest.mark.parametrize("make", [sunset, texture])
def test_an_unmarked_clip_is_not_recognised_and_the_answer_says_what_that_means(released_once, tmp_path, make):
    encode_mp4(make(frames=5), FPS, tmp_path / "other.mp4")
    found = verify(tmp_path / "other.mp4", released_once[0])
    assert (found.recognised, found.made_by, found.id) == (False, None, None)
    assert set(verdicts(found).values()) == {"none"}
    assert "were searched" in detail(found, "watermark")["says"]
    assert "does not mean that a camera made it" in found.summary


def test_likeness_alone_does_not_make_it_ours(released_once, tmp_path):
    # The same picture without mark or signature, as given footage would be.
    encode_mp4(ball(frames=9, height=160, width=256), FPS, tmp_path / "given.mp4")
    found = verify(tmp_path / "given.mp4", released_once[0])
    assert verdicts(found)["fingerprint"] == "match"
    assert detail(found, "fingerprint")["distance"] <= FINGERPRINT_MATCH
    assert (found.recognised, found.made_by) == (False, None)


def test_a_mark_on_other_footage_is_forged_and_counts_for_nothing(released_once, tmp_path):
    settings, released = released_once
    key = load_keys(settings.keys_dir).watermark_key
    other = sunset(frames=9, height=160)
    encode_mp4(watermark.embed(other, int(released.id, 16), key), FPS, tmp_path / "forged.mp4")
    found = verify(tmp_path / "forged.mp4", settings)
    assert verdicts(found)["watermark"] == "forged"
    assert found.forged
    assert (found.made_by, found.recognised) == (None, False)
    assert "copied the mark" in found.summary


@pytest.mark.slow
def test_a_cropped_and_mirrored_copy_is_found_and_confirmed(released_once, tmp_path):
    settings, released = released_once
    cut = read_video(released.path).frames_THWC[:, 10:150, 16:240][:, :, ::-1]
    encode_mp4(np.ascontiguousarray(cut), FPS, tmp_path / "cut.mp4", crf=23)
    assert verify(tmp_path / "cut.mp4", settings, quick=True).made_by is None
    found = verify(tmp_path / "cut.mp4", settings)
    assert (found.made_by, found.id) == ("this_installation", released.id)
    assert detail(found, "watermark")["stage"] == "search"
    assert "mirrored" in detail(found, "watermark")["geometry"]
    assert {content for _, _, content, _ in detail(found, "watermark")["spans"]} == {"confirmed"}


def test_in_a_splice_only_our_part_is_ours(released_once, tmp_path):
    settings, released = released_once
    ours = read_video(released.path).frames_THWC
    foreign = texture(frames=12, height=160, width=256)
    encode_mp4(np.concatenate([foreign, ours, ours[::-1]]), FPS, tmp_path / "mixed.mp4", crf=20)
    found = verify(tmp_path / "mixed.mp4", settings)
    assert found.id == released.id
    spans = detail(found, "watermark")["spans"]
    assert spans[0][0] == pytest.approx(12 / FPS, abs=0.4)
    assert spans[-1][1] == pytest.approx(30 / FPS, abs=0.01)


def test_presence_is_seen_without_any_key_and_proves_nothing(released_once, empty, tmp_path):
    remux(released_once[1].path, tmp_path / "stripped.mp4")
    found = verify(tmp_path / "stripped.mp4", empty)
    assert verdicts(found)["presence"] == "match"
    assert "no proof" in detail(found, "presence")["says"]
    assert found.made_by is None


def test_a_picture_taken_from_a_clip(released_once, tmp_path):
    settings, released = released_once
    frame = read_video(released.path).frames_THWC[4]
    with av.open(str(tmp_path / "shot.png"), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = frame.shape[1], frame.shape[0], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    found = verify(tmp_path / "shot.png", settings)
    assert (found.made_by, found.id) == ("this_installation", released.id)
    assert verdicts(found)["fingerprint"] == "none"


def test_after_the_certificate_ran_out_the_ledger_knows_the_same_bytes(released_once, monkeypatch):
    from kinemark.provenance import detect

    settings, released = released_once
    original = detect.read_credentials
    monkeypatch.setattr(detect, "read_credentials", lambda *args: replace(original(*args), state="expired", root=None))
    found = verify(released.path, settings)
    assert verdicts(found)["credentials"] == "match"
    assert found.made_by == "this_installation"


def test_credentials_of_another_maker_are_shown_and_not_counted(released_once, empty, monkeypatch):
    from kinemark.provenance import detect

    original = detect.read_credentials
    monkeypatch.setattr(detect, "read_credentials", lambda *args: replace(original(*args), generator="Camera", id=None))
    found = verify(released_once[1].path, empty)
    assert verdicts(found)["credentials"] == "none"
    assert verdicts(found)["other"] == "hint"
    assert found.made_by is None


def test_a_second_release_is_told_apart(settings, tmp_path):
    ids = []
    for i, make in enumerate((ball, sunset)):
        frames = make(frames=3, height=128, width=128)
        ids.append(release(frames, decision(frames), tmp_path / f"{i}.mp4", FACTS, settings).id)
    assert [verify(tmp_path / f"{i}.mp4", settings).id for i in range(2)] == ids


# --- bad input --------------------------------------------------------------------------------------------------------


def write(folder, name, released):
    whole = released.path.read_bytes()
    content = {
        "empty.mp4": b"",
        "text.mp4": b"this is not a video\n" * 40,
        "text.txt": b"this is not a video\n" * 40,
        "noise.mp4": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
        "cut_in_the_middle.mp4": whole[: len(whole) // 2],
        "cut_at_the_end.mp4": whole[:-7],
        "head_only.mp4": whole[:64],
        "playlist.mp4": b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/hostname\n",
    }[name]
    (folder / name).write_bytes(content)
    return folder / name


BROKEN = [
    ("empty.mp4", "0 bytes"),
    ("text.mp4", "not a video or picture"),
    ("text.txt", "not a video or picture"),
    ("noise.mp4", "not a video or picture"),
    ("cut_in_the_middle.mp4", "cut off"),
    ("cut_at_the_end.mp4", "cut off"),
    ("head_only.mp4", "cut off"),
    ("playlist.mp4", "not a video or picture"),
    ("concat.mp4", "not a video or picture"),
]


@pytest.mark.parametrize(("name", "says"), BROKEN)
def test_a_broken_file_is_a_request_error_that_names_it(released_once, tmp_path, name, says):
    path = write(tmp_path, name, released_once[1])
    with pytest.raises(RequestError, match=says) as caught:
        verify(path, released_once[0])
    assert name in str(caught.value)


def test_a_folder_and_a_missing_file_are_request_errors(released_once, tmp_path):
    with pytest.raises(RequestError, match="folder"):
        verify(tmp_path, released_once[0])
    with pytest.raises(RequestError, match="does not exist"):
        verify(tmp_path / "nowhere.mp4", released_once[0])


def test_a_damaged_ledger_or_key_is_a_failure_not_a_negative(released_once, tmp_path):
    settings = Settings(home=tmp_path / "home")
    shutil.copytree(released_once[0].home, settings.home)
    settings.ledger_path.write_bytes(b"garbage" * 1000)
    with pytest.raises(FailureError, match="damaged"):
        verify(released_once[1].path, settings)
    (settings.keys_dir / "watermark.key").unlink()
    with pytest.raises(FailureError, match=r"lacks watermark.key"):
        verify(released_once[1].path, settings)


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_gives_a_traceback(released_once, tmp_path, seed):
    settings, released = released_once
    rng = np.random.default_rng(seed)
    content = np.frombuffer(released.path.read_bytes(), np.uint8).copy()
    where = rng.integers(0, len(content) if seed % 2 else 16_000, 20)
    content[where] = rng.integers(0, 256, 20)
    (tmp_path / "fuzzed.mp4").write_bytes(content.tobytes())
    try:
        found = verify(tmp_path / "fuzzed.mp4", settings, quick=True)
    except RequestError:
        return
    assert verdicts(found)["credentials"] in {"invalid", "none"}
