"""Frames and captions in training are those of extraction."""

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.trainers.pos_neg.batches import make_batch
from pipeline_lib.video.scaling import resize_image
from tests.trainers.pos_neg.project import config, section
from tests.trainers.pos_neg.test_task import task


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("mode", ["full", "head"])
def test_features_are_those_of_the_extracting_network(tmp_path, mode):
    made, _, data = task(tmp_path, config(mode=mode))
    batch = make_batch(data.train[2:5])
    found = made._towers.features(batch)
    clip = load_clip(section(tmp_path), Placement())
    frames = []
    for number in batch.frames:
        with Image.open(data.frames[number]) as image:
            frames.append(resize_image(np.asarray(image), clip.resize))
    np.testing.assert_allclose(found.images.detach(), unit(clip.encode(frames)), atol=1e-5)
    captions = [data.captions[number] for number in batch.captions]
    np.testing.assert_allclose(found.texts.detach(), unit(clip.encode_texts(captions)), atol=1e-5)
