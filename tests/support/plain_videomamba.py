"""VideoMamba's forward pass written out token by token, from its definition alone."""

import math

import torch
import torch.nn.functional as F


def scan(u, step, a, b, c, d):
    """The recurrence of one direction: u, step [B, D, L]; a [D, N]; b, c [B, N, L]; d [D]."""
    h, out = u.new_zeros(*u.shape[:2], a.shape[1]), []
    for t in range(u.shape[-1]):
        h = torch.exp(step[:, :, t, None] * a) * h + (
            step[:, :, t, None] * b[:, None, :, t] * u[:, :, t, None]
        )
        out.append((h * c[:, None, :, t]).sum(-1) + d * u[:, :, t])
    return torch.stack(out, -1)


def mixer(p, h):
    """The mixer of tensors ``p`` (by their names in it) for tokens h [B, L, C]."""
    xz = F.linear(h, p["in_proj.weight"]).mT
    ahead = _direction(p, xz, "", "A_log")
    back = _direction(p, xz.flip(-1), "_b", "A_b_log")
    return F.linear((ahead + back.flip(-1)).mT, p["out_proj.weight"])


def _direction(p, xz, suffix, log_decay):
    x, z = xz.chunk(2, dim=1)
    rank = p["dt_proj.weight"].shape[1]
    weight, bias = p[f"conv1d{suffix}.weight"], p[f"conv1d{suffix}.bias"]
    x = F.silu(F.conv1d(F.pad(x, (3, 0)), weight, bias, groups=x.shape[1]))
    made = p[f"x_proj{suffix}.weight"] @ x
    dt, b, c = made[:, :rank], made[:, rank : rank + 16], made[:, rank + 16 :]
    bias = p[f"dt_proj{suffix}.bias"][:, None]
    step = F.softplus(p[f"dt_proj{suffix}.weight"] @ dt + bias)
    y = scan(x, step, -torch.exp(p[log_decay]), b, c, p[f"D{suffix}"])
    return y * F.silu(z)


def rms_norm(x, weight):
    return x * weight / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def below(p, prefix):
    return {n.removeprefix(prefix): v for n, v in p.items() if n.startswith(prefix)}


def embed(p, clip):
    """Tokens [B, L, C] of clips [B, 3, T, S, S]."""
    weight = p["patch_embed.proj.weight"]
    maps = F.conv3d(clip, weight, p["patch_embed.proj.bias"], stride=weight.shape[2:])
    batch, width, steps = maps.shape[:3]
    frames = maps.permute(0, 2, 3, 4, 1).reshape(batch * steps, -1, width)
    cls = p["cls_token"].expand(len(frames), 1, width)
    frames = torch.cat([cls, frames], 1) + p["pos_embed"]
    frames = frames.unflatten(0, (batch, steps))
    patches = frames[:, :, 1:] + p["temporal_pos_embedding"][:, :, None]
    return torch.cat([frames[:, 0, :1], patches.flatten(1, 2)], 1)


def states(p, tokens, shares=None):
    """(hidden, residual) behind every block, which takes shares [depth, B] of what comes in."""
    hidden, residual, kept = tokens, None, []
    depth = 1 + max(int(name.split(".")[1]) for name in p if name.startswith("layers."))
    for i in range(depth):
        share = 1 if shares is None else shares[i][:, None, None]
        residual = hidden if residual is None else residual + share * hidden
        normed = rms_norm(residual, p[f"layers.{i}.norm.weight"])
        hidden = mixer(below(p, f"layers.{i}.mixer."), normed)
        kept.append((hidden, residual))
    return kept


def features(p, clip):
    hidden, residual = states(p, embed(p, clip))[-1]
    return rms_norm(residual + hidden, p["norm_f.weight"])[:, 0]


def logits(p, clip):
    return F.linear(features(p, clip), p["head.weight"], p["head.bias"])


def student(p, clip, mask, interval=1, unit=True):
    """The published code's student: [K, B, visible, D] of clips and masks [B, L]."""
    batch = len(clip)
    width, length = p["cls_token"].shape[-1], mask.shape[1]
    tokens = embed(p, clip)[~mask].reshape(batch, -1, width)
    table = torch.tensor(
        [[_wave(at, column, width) for column in range(width)] for at in range(length)]
    ).to(clip.dtype)
    places = table.expand(batch, -1, -1)[~mask].reshape(batch, -1, width)
    behind = states(p, tokens)
    count = sum(name.startswith("clip_decoder.") and name.endswith(".head.weight") for name in p)
    made = []
    for k in range(count):
        hidden, residual = behind[len(behind) - 1 - (count - 1 - k) * interval]
        # Of the last block, what went into it, and that without a norm.
        last = k == count - 1
        seen = residual if last else rms_norm(residual + hidden, p["norm.weight"])
        own = below(p, f"clip_decoder.{k}.")
        out = F.linear(seen + places, own["head.weight"], own["head.bias"])
        out = F.layer_norm(out, out.shape[-1:], own["norm.weight"], own["norm.bias"])
        made.append(out / out.norm(dim=-1, keepdim=True) if unit else out)
    return torch.stack(made)


def _wave(position, column, width):
    angle = position / 10000 ** (2 * (column // 2) / width)
    return math.cos(angle) if column % 2 else math.sin(angle)
