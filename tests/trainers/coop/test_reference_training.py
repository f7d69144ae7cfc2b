"""Whole trainings against the formulas worked out a second time, parameter for parameter."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop.prompts import load_prompts
from pipeline_lib.trainers.coop.training import train_coop
from tests.support.reference_coop import reference_prompt, reference_text, reference_training
from tests.support.text_models import small_model, tokenizer
from tests.trainers.project import CLASSES, ROWS, config, places, videos, write_store

EPOCHS, BATCH = 3, 8


def stream(*parts):
    """torch's generator for what ``parts`` name: the order of a published run never changes."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") % 2**63)


def training_windows(root):
    """Features and labels as they lie on disk: by class, video and second."""
    ids = sorted(video for video in videos() if video.startswith("train/"))
    rows = [np.load(root / "features" / "clip" / f"{video}.npy") for video in ids]
    labels = [CLASSES.index(video.split("/")[1]) for video in ids for _ in range(ROWS)]
    return torch.from_numpy(np.concatenate(rows)).double(), torch.tensor(labels)


@pytest.mark.parametrize(
    ("name", "csc", "position", "changes"),
    [
        ("ViT-B-32", False, "end", {}),
        # Decay of 5e-4 would nearly be lost in the rounding of so few steps.
        ("ViT-B-32", True, "middle", {"lr": 0.004, "weight_decay": 0.2}),
        ("ViT-B-32", False, "front", {"lr": 0.004, "weight_decay": 0.1}),
        ("MobileCLIP-S1", True, "middle", {"lr": 0.004, "weight_decay": 0.2}),
    ],
)
def test_the_original_recipe_trains_as_the_paper_says(tmp_path, name, csc, position, changes):
    write_store(tmp_path, videos())
    model = small_model(name)
    model.logit_scale.data.fill_(np.log(30.0))
    tower = text_tower(model, tokenizer(), weights_sha256="small")
    settings = config(
        preset="original", n_ctx=5, csc=csc, class_token_position=position, epochs=EPOCHS,
        batch_size=BATCH, seeds=(3,), **{"lr": None, **changes},
    )  # fmt: skip
    train_coop(settings, tower, places(tmp_path))
    checkpoint = tmp_path / "models" / "coop" / "coop_final.safetensors"
    tensors, _ = read_checkpoint(checkpoint)

    features, labels = training_windows(tmp_path)
    # 54 windows: the last 6 of every epoch's order do not fill a batch.
    assert len(labels) == 54
    shape = (len(CLASSES), 5, 64) if csc else (5, 64)
    text, names = reference_text(model), [tokenizer().encode(name) for name in CLASSES]
    expected = reference_training(
        text,
        names,
        0.02 * torch.randn(shape, generator=stream(3, "coop", "context")),
        position,
        features,
        labels,
        lambda epoch: torch.randperm(54, generator=stream(3, "coop", "order", epoch)),
        epochs=EPOCHS,
        batch=BATCH,
        **changes,
    )
    assert (tensors["ctx"] - expected.context).abs().max() <= 1e-6
    history = pd.read_csv(tmp_path / "plots" / "history.csv")
    contexts = expected.context if csc else [expected.context] * len(names)
    learned = torch.stack(
        [
            reference_prompt(text, words, own, position)
            for words, own in zip(names, contexts, strict=True)
        ]
    )
    learned = learned / learned.square().sum(dim=1, keepdim=True).sqrt()
    assert (load_prompts(checkpoint, tower).text_features - learned).abs().max() <= 1e-5
    assert history["train_loss"].tolist() == pytest.approx(expected.losses, rel=1e-5)
