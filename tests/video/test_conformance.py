"""Every decoder on every kind of file: the right frame at its right time, or a refusal."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.video.decoders import DECODERS
from pipeline_lib.video.probe import timestamps
from pipeline_lib.video.reader import open_video, read_frames
from pipeline_lib.video.scaling import Resize
from tests.video.conformance import EXACT, asked_times, available, documented, outcome
from tests.video.corpus import KINDS, Truth

Corpus = Callable[[str], tuple[Path, Truth]]
HERE = [decoder for decoder in DECODERS if available(decoder)]
TABLE = documented()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Writes a kind when first asked for it."""
    folder = tmp_path_factory.mktemp("corpus")
    made: dict[str, tuple[Path, Truth]] = {}

    def get(kind: str) -> tuple[Path, Truth]:
        if kind not in made:
            made[kind] = (folder / kind, KINDS[kind](folder / kind))
        return made[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoder", HERE)
def test_right_frames_at_right_times_or_a_refusal(corpus, decoder, kind):
    path, truth = corpus(kind)
    assert outcome(decoder, path, truth) == TABLE[decoder, kind]


def test_the_default_decoder_reads_everything():
    assert {TABLE["pyav", kind] for kind in KINDS} == {EXACT}
    assert set(TABLE) == {(decoder, kind) for decoder in DECODERS for kind in KINDS}
    assert not [key for key, cell in TABLE.items() if cell.startswith("wrong")]


@pytest.mark.parametrize("kind", KINDS)
def test_times_without_decoding_are_the_decoded_ones(corpus, kind):
    path, truth = corpus(kind)
    assert np.abs(timestamps(path) - truth.pts_s).max() <= truth.tick_s


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_frames_are_those_of_the_whole_pass(corpus, kind):
    path, truth = corpus(kind)
    every = asked_times(truth)
    with open_video(path) as video:
        whole = [(s.pts_s, s.source_index, s.rgb().tobytes()) for s in video.until_end(every)]
    for seed, count in enumerate([1, 2, 3, 5]):
        chosen = np.sort(np.random.default_rng(seed).choice(len(every), count))
        with open_video(path) as video:
            few = [(s.pts_s, s.source_index, s.rgb().tobytes()) for s in video.at(every[chosen])]
        assert few == [whole[k] for k in chosen]
        with open_video(path) as video:
            samples = video.until_end(every[chosen])
            few = [(s.pts_s, s.source_index, s.rgb().tobytes()) for s in samples]
        assert few == [whole[k] for k in chosen]
        assert video.frames == len(truth.numbers)


@pytest.mark.parametrize("decoder", HERE)
@pytest.mark.parametrize(
    "kind", ["h264.mp4", "h264_full_range.mp4", "rotated_90.mp4", "hevc_10bit.mp4", "odd_size.webm"]
)
def test_pixels_are_those_of_the_default_decoder(corpus, decoder, kind):
    path, _ = corpus(kind)
    for resize in (None, Resize(48, crop=48)):
        images = []
        for name in ("pyav", decoder):
            with open_video(path, decoder=name) as video:
                images.append(next(video.at([1.0])).rgb(resize).astype(int))
        assert images[0].shape == images[1].shape
        difference = np.abs(images[0] - images[1]).mean()
        # Raw pictures do not say where their chroma sits; other libraries convert more roughly.
        assert difference <= {"pyav": 0, "ffmpeg": 0.2}.get(decoder, 4)


@pytest.mark.parametrize("decoder", HERE)
def test_one_scaled_frame_from_the_middle(corpus, decoder):
    path, truth = corpus("h264.mp4")
    frames = read_frames(path, [1.0, 0.2], decoder=decoder)
    assert [truth.read(frame) for frame in frames.frames] == [25, 5]
    assert frames.source_index.tolist() == [25, 5]
