import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from kinemark.data.encode import Caption, Mp4Writer, encode_mp4
from kinemark.data.video import media_kind, read_image, read_video
from kinemark.errors import FailureError, RequestError


def gradient(frames=6, height=64, width=128):
    y, x = np.mgrid[0:height, 0:width]
    clip = [np.stack([(x * 2 + 5 * t) % 200 + 20, y * 2 + 40, np.full_like(x, 90 + 4 * t)], -1) for t in range(frames)]
    return np.stack(clip).astype(np.uint8)


def write_image(path, image, codec="png"):
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec)
        stream.width, stream.height = image.shape[1], image.shape[0]
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj444p"
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))


@pytest.fixture
def clip(tmp_path):
    encode_mp4(gradient(), 8, tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


def test_what_is_written_is_read_back(clip):
    video = read_video(clip)
    assert video.frames_THWC.shape == (6, 64, 128, 3)
    assert video.frames_THWC.dtype == np.uint8
    assert video.fps == 8
    assert np.abs(video.frames_THWC.astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (255, 255, 255), (0, 0, 0)])
def test_colours_survive(tmp_path, colour):
    frames = np.tile(np.array(colour, np.uint8), (2, 32, 32, 1))
    encode_mp4(frames, 8, tmp_path / "flat.mp4")
    assert np.abs(read_video(tmp_path / "flat.mp4").frames_THWC.astype(int) - frames).max() <= 4


def test_the_file_is_h264_420_bt709_with_its_index_first(clip):
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        assert stream.average_rate == Fraction(8)
    content = clip.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")


def test_the_same_frames_give_the_same_bytes(clip, tmp_path):
    encode_mp4(gradient(), 8, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


def test_piece_by_piece_is_the_same_as_at_once(clip, tmp_path):
    with Mp4Writer(tmp_path / "pieces.mp4", fps=8, size=(64, 128)) as writer:
        writer.write(gradient()[:2])
        writer.write(gradient()[2:])
    assert (tmp_path / "pieces.mp4").read_bytes() == clip.read_bytes()


@pytest.mark.parametrize("fps", [1, 7.5, 23.976, 29.97, 60])
def test_frame_rates(tmp_path, fps):
    encode_mp4(gradient(), fps, tmp_path / "clip.mp4")
    assert read_video(tmp_path / "clip.mp4").fps == pytest.approx(fps, rel=1e-3)


def test_one_frame(tmp_path):
    encode_mp4(gradient(frames=1), 8, tmp_path / "one.mp4")
    assert read_video(tmp_path / "one.mp4").frames_THWC.shape == (1, 64, 128, 3)


def test_scaling_while_reading_averages(clip):
    small = read_video(clip, size=(32, 64)).frames_THWC.astype(float)
    full = read_video(clip).frames_THWC.astype(float)
    mean = full.reshape(6, 32, 2, 64, 2, 3).mean(axis=(2, 4))
    assert small.shape == (6, 32, 64, 3)
    assert np.abs(small - mean).mean() < 4


@pytest.mark.parametrize(("limit", "indices"), [(6, range(6)), (4, [0, 2, 4]), (2, [0, 4]), (1, [0])])
def test_thinning_keeps_frames_evenly_spaced(clip, limit, indices):
    whole, thin = read_video(clip), read_video(clip, max_frames=limit)
    assert np.array_equal(thin.frames_THWC, whole.frames_THWC[list(indices)])
    assert thin.fps == pytest.approx(8 / (1 if limit == 6 else indices[1] if len(indices) > 1 else 8))


@pytest.mark.parametrize("size", [(63, 96), (64, 95), (0, 96)])
def test_odd_sizes_are_an_error(tmp_path, size):
    with pytest.raises(RequestError, match="even width and height"):
        Mp4Writer(tmp_path / "odd.mp4", fps=8, size=size)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan")])
def test_absurd_rates_are_an_error(tmp_path, fps):
    with pytest.raises(RequestError, match="fps is"):
        encode_mp4(gradient(), fps, tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)]
)
def test_frames_of_a_wrong_kind_are_an_error(tmp_path, frames):
    with pytest.raises(RequestError, match="must be uint8"):
        encode_mp4(frames, 8, tmp_path / "clip.mp4")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FailureError, match="check the folder"):
        encode_mp4(gradient(), 8, tmp_path / "no" / "clip.mp4")


_FULL = """
import resource, sys
import numpy as np
from kinemark.data.encode import encode_mp4
from kinemark.errors import FailureError
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
frames = np.random.default_rng(0).integers(0, 256, (9, 64, 128, 3), dtype=np.uint8)
try:
    encode_mp4(frames, 8, sys.argv[1])
except FailureError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_full_disk_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _FULL, tmp_path / "clip.mp4"], capture_output=True, text=True, timeout=120
    )
    assert "free some space" in done.stdout, done.stderr


@pytest.mark.parametrize(("name", "codec"), [("p.png", "png"), ("p.jpg", "mjpeg")])
def test_pictures(tmp_path, name, codec):
    image = gradient()[0]
    write_image(tmp_path / name, image, codec)
    assert media_kind(tmp_path / name) == "image"
    read = read_image(tmp_path / name)
    assert read.shape == image.shape
    assert np.abs(read.astype(int) - image).mean() < 4
    assert read_image(tmp_path / name, size=(16, 24)).shape == (16, 24, 3)


def test_kinds_are_not_mixed_up(clip, tmp_path):
    write_image(tmp_path / "p.png", gradient()[0])
    assert media_kind(clip) == "video"
    with pytest.raises(RequestError, match="is a video, not a picture"):
        read_image(clip)
    with pytest.raises(RequestError, match="is a picture, not a video"):
        read_video(tmp_path / "p.png")


def test_a_picture_named_as_a_video_is_an_error_that_says_rename(tmp_path):
    write_image(tmp_path / "p.png", gradient()[0])
    (tmp_path / "p.png").rename(tmp_path / "p.mp4")
    with pytest.raises(RequestError, match=r"its content is png.*rename"):
        read_video(tmp_path / "p.mp4")


def test_a_codec_that_nothing_decodes_is_an_error(clip):
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(RequestError, match="nothing here decodes its codec"):
        read_video(clip)


def test_sound_alone_is_an_error(tmp_path):
    write_sound(tmp_path / "sound.mp4")
    with pytest.raises(RequestError, match=r"no picture track.*audio"):
        read_video(tmp_path / "sound.mp4")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"words\n" * 100, "not a video or picture"),
        (b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n", "not a video or picture"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video or picture"),
        (b"\x00\x00\x00\x08ftyp\x00\x00\x00\x02free", "a box of 2 bytes"),
    ],
)
@pytest.mark.parametrize("read", [read_video, read_image, media_kind])
def test_what_is_no_media_is_an_error(tmp_path, content, says, read):
    (tmp_path / "file.mp4").write_bytes(content)
    with pytest.raises(RequestError, match=says):
        read(tmp_path / "file.mp4")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_off_file_is_an_error(clip, share):
    content = clip.read_bytes()
    clip.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RequestError, match="cut off"):
        read_video(clip)


def test_missing_and_folder(tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        read_video(tmp_path / "no.mp4")
    with pytest.raises(RequestError, match="is a folder"):
        read_video(tmp_path)


def test_a_name_with_a_colon_is_a_file_and_not_an_address(tmp_path, clip):
    clip.rename(tmp_path / "http:clip.mp4")
    assert len(read_video(tmp_path / "http:clip.mp4").frames_THWC) == 6


def test_a_claim_of_a_huge_picture_is_refused(tmp_path):
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    (tmp_path / "bomb.png").write_bytes(header + b"\x00" * 64)
    with pytest.raises(RequestError):
        read_image(tmp_path / "bomb.png")


def test_a_caption_track_says_its_text_for_its_time_and_changes_no_pixel(tmp_path):
    frames = (np.indices((8, 64, 96, 3)).sum(axis=0) * 3 % 256).astype(np.uint8)
    encode_mp4(frames, 8.0, tmp_path / "plain.mp4")
    encode_mp4(frames, 8.0, tmp_path / "told.mp4", caption=Caption("AI生成 AI-generated", 0.5))
    with av.open(tmp_path / "told.mp4") as container:
        (stream,) = container.streams.subtitles
        packet = next(container.demux(stream))
        assert bytes(packet)[2:].decode() == "AI生成 AI-generated"
        assert (packet.pts, packet.duration * packet.time_base) == (0, 0.5)
    assert (read_video(tmp_path / "told.mp4").frames_THWC == read_video(tmp_path / "plain.mp4").frames_THWC).all()
