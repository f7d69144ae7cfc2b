"""TempMe's image tower once more: one clip at a time, pairs in loops, no oneDNN, nothing folded."""

import math

import torch
import torch.nn.functional as F


def merge(tokens, metric, size, merged, class_tokens):
    """Tokens [n, d], metric [n, k], size [n]; the order changes only where some are merged."""
    if not merged:
        return tokens, size
    patches = list(range(class_tokens, len(tokens)))
    first = [i for i in patches if i % 2 == 0]
    second = [i for i in patches if i % 2 == 1]
    cosines = F.cosine_similarity(metric[first][:, None], metric[second], dim=-1).tolist()
    best = {}
    for i, row in zip(first, cosines, strict=True):
        best[i] = (max(row), second[row.index(max(row))])
    leaving = sorted(first, key=lambda i: -best[i][0])[:merged]
    sums = {i: tokens[i] * size[i] for i in range(len(tokens))}
    sizes = {i: float(size[i]) for i in range(len(tokens))}
    for i in leaving:
        sums[best[i][1]] = sums[best[i][1]] + tokens[i] * size[i]
        sizes[best[i][1]] += float(size[i])
    kept = [*range(class_tokens), *(i for i in first if i not in leaving), *second]
    return torch.stack([sums[i] / sizes[i] for i in kept]), torch.tensor([sizes[i] for i in kept])


def projected(block, x):
    """Queries, keys and values [n, heads, d / heads] of tokens [n, d]."""
    attn, normed = block.attn, block.ln_1(x)
    qkv = normed @ attn.in_proj_weight.T + attn.in_proj_bias
    qkv = qkv + normed @ attn.TVPt_LoRA_a.T @ attn.TVPt_LoRA_b.T
    return tuple(part.unflatten(1, (attn.heads, -1)) for part in qkv.chunk(3, dim=1))


def read_from(q, k, v, size):
    """What queries read from keys that count ``size`` times each: [n, heads, d / heads]."""
    out = []
    for head in range(q.shape[1]):
        scores = q[:, head] @ k[:, head].T / math.sqrt(q.shape[-1]) + size.log()
        out.append(scores.softmax(dim=1) @ v[:, head])
    return torch.stack(out, dim=1)


def added(block, x, read):
    """Tokens with what they read."""
    return x + read.flatten(1) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias


def fed(block, x):
    """Tokens behind the MLP, with the approximate activation where the block has it."""
    hidden = block.ln_2(x) @ block.mlp.c_fc.weight.T + block.mlp.c_fc.bias
    quick = not isinstance(block.mlp.gelu, torch.nn.GELU)
    hidden = hidden * torch.sigmoid(1.702 * hidden) if quick else F.gelu(hidden)
    return x + hidden @ block.mlp.c_proj.weight.T + block.mlp.c_proj.bias


def join(block, clips, schedule, number):
    """Clips as (tokens, sizes, class tokens), each ``number`` neighbours made one."""
    joined = []
    position = block.TVPt_Video_Positional_embedding
    for start in range(0, len(clips), number):
        group = clips[start : start + number]
        c = group[0][2]

        def ordered(parts, c=c):
            return torch.cat([part[:c] for part in parts] + [part[c:] for part in parts])

        x, size = ordered([g[0] for g in group]), ordered([g[1] for g in group])
        length = len(x)
        across = min(int(length * schedule.across), (length - c * number) // 2)
        if across and number > 1:
            placed = [
                g[0] + (position[0, start + i, 0] if position is not None else 0)
                for i, g in enumerate(group)
            ]
            x, size = merge(ordered(placed), x, size, across, c * number)
        joined.append((x, size, c * number))
    return joined


def encode(network, frames):
    """Embeddings [N, D] of one video's frames [N, 3, S, S]."""
    visual, schedule = network.visual, network.visual.schedule
    patches = F.conv2d(frames, visual.conv1.weight, stride=visual.conv1.stride)
    clips = []
    for picture in patches.flatten(2).transpose(1, 2):
        x = torch.cat([visual.class_embedding[None], picture]) + visual.positional_embedding
        clips.append((visual.ln_pre(x), torch.ones(len(x)), 1))
    numbers = dict(zip(schedule.layers, schedule.frame_nums, strict=True))
    for layer, block in enumerate(visual.transformer.resblocks):
        if layer in numbers:
            clips = join(block, clips, schedule, numbers[layer])
        joining = schedule.layers and layer >= schedule.layers[0]
        after = []
        for x, size, c in clips:
            q, k, v = projected(block, x)
            merged = int(len(x) * schedule.within) if joining else schedule.tome_r
            x = added(block, x, read_from(q, k, v, size))
            x, size = merge(x, k.mean(dim=1), size, min(merged, (len(x) - c) // 2), c)
            after.append((fed(block, x), size, c))
        clips = after
    read = torch.cat([x[:c] for x, _, c in clips])
    return visual.ln_post(read) @ visual.proj
