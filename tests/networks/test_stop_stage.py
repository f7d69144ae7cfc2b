"""Prompts in the last blocks, against the same once more: one clip and one prompt at a time."""

import pytest
import torch
import torch.nn.functional as F

from tests.networks.tempme_reference import added, fed, merge, projected, read_from
from tests.support.retrieval_models import Shape, network, opened, random_clip, videos


def plain_stage(made, clips, size, c, within):
    """Class tokens of one video's clips [C, L, d], and its own prompts, behind the last block."""
    stage = made.stage
    prompts = stage.prompts(clips[None], size[None, :, :, None], c)
    x, size = list(clips), list(size)
    whole = clips[0][:0] if prompts.whole is None else prompts.whole[0]
    for number, block in enumerate(
        list(made.clip.visual.transformer.resblocks)[-len(stage.gate) :]
    ):
        own, after = [projected(block, tokens) for tokens in x], []
        ones = torch.ones(len(whole))
        whole_qkv = projected(block, whole)
        for t, tokens in enumerate(x):
            seen, weights = [whole_qkv], [ones]
            for neighbour in (t - 1, t):
                if prompts.between is not None and 0 <= neighbour < len(x) - 1:
                    between = prompts.between[0, neighbour]
                    seen.append(projected(block, between))
                    weights.append(prompts.weight[0, neighbour].expand(len(between)))
            q, k, v = own[t]
            read = read_from(q, k, v, size[t])
            seen_k, seen_v = (torch.cat([one[i] for one in seen]) for i in (1, 2))
            gate = stage.gate[number][None, :, None]
            read = read + gate * read_from(q, seen_k, seen_v, torch.cat(weights))
            after.append(added(block, tokens, read))
        if len(whole):
            keys, values = (torch.cat([*(one[i] for one in own), whole_qkv[i]]) for i in (1, 2))
            read = read_from(whole_qkv[0], keys, values, torch.cat([*size, ones]))
            whole = fed(block, added(block, whole, read))
        for t, tokens in enumerate(after):
            count = min(int(len(tokens) * within), (len(tokens) - c) // 2)
            merged, size[t] = merge(tokens, own[t][1].mean(dim=1), size[t], count, c)
            x[t] = fed(block, merged)
    return torch.stack([tokens[:c] for tokens in x]), whole


@pytest.mark.parametrize(
    "options",
    [
        {"clips": 3},
        {"clips": 1},
        {"clips": 3, "temporal_prompts": 0},
        {"clips": 4, "global_prompts": 0, "temporal_prompts": 1},
        {"clips": 2, "merge_within": 0.0, "global_prompts": 1},
    ],
)
@torch.no_grad()
def test_any_prompts_equal_the_plain_stage(options):
    made = network(
        random_clip(Shape()), merge_layer=(1, 2), merge_frame_num=(2, 2),
        **{"merge_within": 0.2, **options},
    )  # fmt: skip
    visual, pixels = opened(made).clip.visual, videos(made, 2)
    clips = visual.embed(pixels.flatten(0, 1))
    x = made.spatial(clips.tokens.unflatten(0, (2, -1))).flatten(0, 1)
    clips = visual.run(type(clips)(x, clips.size, 1), 0, 3)
    vectors = made.forward_video(pixels)
    for number in range(2):
        x, size = (part.unflatten(0, (2, -1))[number] for part in (clips.tokens, clips.size))
        tokens, whole = plain_stage(
            made, x, size[..., 0], clips.class_tokens, made.clip.visual.schedule.within
        )
        frames = F.normalize(visual.project(tokens).flatten(0, 1), dim=-1)
        assert (vectors.frames[number] - frames).abs().max() < 1e-5
        video = frames.mean(0)
        if len(whole):  # the first of them is read
            video = video + made.video_gate * F.normalize(visual.project(whole[0]), dim=-1)
        assert (vectors.video[number] - F.normalize(video, dim=-1)).abs().max() < 1e-5
