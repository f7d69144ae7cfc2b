import numpy as np
import pytest

from pipeline_lib.networks.masking import draw_mask

FRAMES, SIDE = 8, 14
PATCHES = SIDE**2
# Hidden of 8 frames of 14 x 14 patches at 0.8, worked out by hand: 156 of the 196 patches of a
# frame; 1254 of 1568 patches; 11 of the 14 rows of a frame; 89 of the 112 rows of the clip.
HIDDEN = {"attention": 8 * 156, "tube": 8 * 156, "random": 1254, "tube_row": 8 * 11 * 14,
          "random_row": 89 * 14}  # fmt: skip


def drawn(kind, seed=0, attention=None, ratio=0.8):
    if kind == "attention" and attention is None:
        attention = np.random.default_rng(1).random((FRAMES, PATCHES), dtype=np.float32)
    return draw_mask(kind, ratio, FRAMES, SIDE, np.random.default_rng(seed), attention)


@pytest.mark.parametrize("kind", HIDDEN)
def test_every_clip_has_the_same_number_of_visible_tokens(kind):
    masks = [drawn(kind, seed) for seed in range(5)]
    assert {mask.shape for mask in masks} == {(1 + FRAMES * PATCHES,)}
    assert {int(mask.sum()) for mask in masks} == {HIDDEN[kind]}
    assert not any(mask[0] for mask in masks)
    assert len({mask.tobytes() for mask in masks}) == 5
    assert np.array_equal(masks[3], drawn(kind, 3))


def test_visible_tokens_of_the_published_run():
    assert int((~drawn("attention")).sum()) == 1 + FRAMES * (PATCHES - int(PATCHES * 0.8)) == 321


def test_attention_decides_frame_by_frame():
    attention = np.full((FRAMES, PATCHES), 1e-6, dtype=np.float32)
    for frame in range(FRAMES):
        attention[frame, 3 * frame : 3 * frame + 40] = 1.0
    visible = np.flatnonzero(~drawn("attention", attention=attention)[1:])
    expected = {frame * PATCHES + 3 * frame + k for frame in range(FRAMES) for k in range(40)}
    assert len(expected - set(visible.tolist())) <= 1


def test_patches_are_drawn_as_often_as_they_are_looked_at():
    # Of three patches one is drawn; its chances are its weights.
    attention = np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32)
    rng, counts = np.random.default_rng(5), np.zeros(4)
    for _ in range(4000):
        counts += ~draw_mask("attention", 0.75, 1, 2, rng, attention)[1:]
    np.testing.assert_allclose(counts / 4000, attention[0], atol=0.03)


def test_a_draw_without_replacement_by_hand():
    # Chances of both being seen of weights a and b: a b / (1 - a) + a b / (1 - b).
    attention = np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32)
    rng, both = np.random.default_rng(6), 0
    for _ in range(4000):
        both += not draw_mask("attention", 0.5, 1, 2, rng, attention)[3:].any()
    assert both / 4000 == pytest.approx(0.12 / 0.7 + 0.12 / 0.6, abs=0.03)


def test_patches_without_attention_come_last_and_can_be_drawn():
    attention = np.zeros((1, 4), dtype=np.float32)
    attention[0, 2] = 1
    seen = {
        draw_mask("attention", 0.5, 1, 2, np.random.default_rng(seed), attention).tobytes()
        for seed in range(40)
    }
    visible = [np.flatnonzero(~np.frombuffer(mask, dtype=bool)[1:]).tolist() for mask in seen]
    assert sorted(visible) == [[0, 2], [1, 2], [2, 3]]


def test_tubes_are_the_same_in_all_frames():
    frames = drawn("tube")[1:].reshape(FRAMES, PATCHES)
    assert (frames == frames[0]).all()


@pytest.mark.parametrize("kind", ["tube_row", "random_row"])
def test_rows_are_whole(kind):
    rows = drawn(kind)[1:].reshape(FRAMES, SIDE, SIDE)
    assert (rows == rows[..., :1]).all()
    of_frames = rows[..., 0].sum(axis=1)
    assert of_frames.sum() == HIDDEN[kind] / SIDE
    assert (len(set(of_frames.tolist())) == 1) == (kind == "tube_row")


@pytest.mark.parametrize("kind", HIDDEN)
def test_nothing_is_hidden_at_zero(kind):
    assert not drawn(kind, ratio=0.0).any()


def test_attention_of_another_size_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="needs attention of 8 x 196 patches"):
        draw_mask("attention", 0.8, FRAMES, SIDE, rng, None)
    with pytest.raises(ValueError, match="needs attention"):
        draw_mask("attention", 0.8, FRAMES, SIDE, rng, np.ones((8, 195), dtype=np.float32))
