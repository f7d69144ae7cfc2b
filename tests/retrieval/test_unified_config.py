import json
import logging

import pytest

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.retrieval import (
    STOPConfig,
    TempMeConfig,
    TrainingConfig,
    UnifiedModelConfig,
)
from pipeline_lib.retrieval.unified_config import parse_config
from pipeline_lib.retrieval.unified_mapping import SECTION

DOCUMENTED = """{
  "tempme": {
    "base_encoder": "ViT-B/32",
    "lora_dim": 8,
    "merge_frame_num": "2-2-2",
    "merge_layer": [6, 8, 10],
    "merge_token_proportion": [0.3, 0.7]
  },
  "stop": {
    "cross_model": "cross-base",
    "sim_header": "meanP",
    "temporal_prompt": "group2-2",
    "pretrained_clip_name": "ViT-B/32"
  },
  "max_frames": 12,
  "num_segments": 32,
  "video_size": 224,
  "top_k": 5
}"""
TRAINING = """{
  "training": {
    "training_mode": "joint",        // "joint", "tempme_only", "stop_only", "sequential"
    "tempme_lr": 1e-4,              // Learning rate for TempMe module
    "stop_lr": 1e-5,                // Learning rate for STOP module
    "batch_size": 8,                // Batch size (adjust based on GPU memory)
    "num_epochs": 20,               // Number of training epochs
    "datatype": "msrvtt",           // Dataset type
    "checkpoint_dir": "./checkpoints/unified_model"
  }
}"""


def write(path, text):
    path.write_text(text)
    return path


def test_the_documented_configuration(tmp_path, caplog):
    config = UnifiedModelConfig.from_json(write(tmp_path / "c.json", DOCUMENTED))
    assert config == UnifiedModelConfig()
    with caplog.at_level(logging.WARNING):
        config.check()
    assert "removes 70 % of the tokens inside a clip" in caplog.text
    assert "TempMe's own is [0.3, 0.1]" in caplog.text
    section, clip = config.to_params()
    assert (section.clips, section.merge_frame_num, section.merge_layer) == (
        12,
        (2, 2, 2),
        (6, 8, 10),
    )
    assert (section.merge_across, section.merge_within) == (0.3, 0.7)
    assert (section.spatial_prompt, section.temporal_prompts) == (True, 2)
    assert section.backbone == SECTION
    assert (clip.model, clip.weights) == ("ViT-B-32-quickgelu", "openai")


def test_comments_and_training(tmp_path, caplog):
    config = UnifiedModelConfig.from_json(write(tmp_path / "t.json", TRAINING))
    assert config.training.num_epochs == 20
    config.check()
    assert "checkpoint_dir = './checkpoints/unified_model' has no effect" in caplog.text
    section, _ = config.to_params()
    assert (section.mode, section.tempme_lr, section.stop_lr) == ("joint", 1e-4, 1e-5)
    assert (section.epochs, section.warmup_ratio, section.batch_size) == (20, 0.05, 8)
    assert section.dataset.kind == "msrvtt"


def test_slashes_in_text_are_no_comment(tmp_path):
    path = write(tmp_path / "c.json", '{"tempme": {"pretrained_path": "a//b \\" //c"} // end\n}')
    assert UnifiedModelConfig.from_json(path).tempme.pretrained_path == 'a//b " //c'


def test_the_documented_custom_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = UnifiedModelConfig(
        tempme=TempMeConfig(lora_dim=16, merge_frame_num="3-3-3"),
        stop=STOPConfig(sim_header="seqTransf"),
        max_frames=16,
        top_k=8,
    )
    config.to_json("custom_config.json")
    assert UnifiedModelConfig.from_json("custom_config.json") == config
    config.check()
    section, _ = config.to_params()
    assert (section.lora_dim, section.clips, section.sim_header) == (16, 16, "seqTransf")
    assert section.merge_frame_num == (3, 3, 3)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([0.3, 0.1], (0.3, 0.1)),
        ("30-10", (0.3, 0.1)),
        ([30, 10], (0.3, 0.1)),
        ("0.3-0.1", (0.3, 0.1)),
        ([0, 0], (0, 0)),
    ],
)
def test_shares_in_all_spellings(given, meant):
    assert TempMeConfig(merge_token_proportion=given).merge_token_proportion == meant


def test_lists_in_all_spellings():
    one = TempMeConfig(merge_frame_num=[2, 2, 3], merge_layer="8-9-10", frame_pos=0)
    other = TempMeConfig(merge_frame_num="2-2-3", merge_layer=[8, 9, 10], frame_pos=False)
    assert one == other


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"tempme": {"lora_dmi": 8}}, r"tempme.lora_dmi is not a field[\s\S]*'lora_dim'"),
        ({"max_frame": 8}, r"max_frame is not a field[\s\S]*'max_frames'"),
        ({"training": {"epochs": 8}}, r"training.epochs is not a field[\s\S]*'num_epochs'"),
        ({"stop": []}, "stop is not an object"),
        ({"max_frames": 0}, "max_frames = 0"),
        ({"max_frames": "12"}, "max_frames = '12'"),
        ({"tempme": {"lora_dim": 1.5}}, "tempme.lora_dim = 1.5"),
        ({"tempme": {"merge_frame_num": "2-x"}}, "tempme.merge_frame_num = '2-x'"),
        ({"tempme": {"merge_token_proportion": [0.3]}}, "tempme.merge_token_proportion"),
        ({"tempme": {"merge_token_proportion": [1, 0.2]}}, "tempme.merge_token_proportion"),
        ({"tempme": {"merge_token_proportion": "120-10"}}, "tempme.merge_token_proportion"),
        ({"training": {"training_mode": "both"}}, "training.training_mode = 'both'"),
        ({"training": {"tempme_lr": 0}}, "training.tempme_lr = 0"),
        ({"similarity_threshold": 2}, "similarity_threshold = 2"),
        ({"tempme": {"frame_pos": 2}}, "tempme.frame_pos = 2"),
    ],
)
def test_what_does_not_parse(content, words):
    with pytest.raises(ConfigError, match=words):
        parse_config(content, "c.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", r"c.json:1: not valid JSON"), ("[]", "no JSON object"), ('{\n"a" 1}', r"c.json:2")],
)
def test_files_that_are_none(tmp_path, text, words):
    with pytest.raises((ConfigError, DataError), match=words):
        UnifiedModelConfig.from_json(write(tmp_path / "c.json", text))


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="No configuration"):
        UnifiedModelConfig.from_json(tmp_path / "no.json")


# Field, a value that is meant, one that cannot be, and words of the refusal.
TABLE = [
    ("tempme.base_encoder", None, "ViT-B/23", "Did you mean 'ViT-B/32'"),
    ("tempme.pretrained_path", None, "./nowhere", "no such folder or file"),
    ("tempme.merge_layer", [4, 6, 8], [6, 8, 12], "goes beyond the 12 blocks"),
    ("tempme.merge_layer", [0, 1, 2], [8, 6, 10], "does not ascend"),
    ("tempme.merge_frame_num", [2, 2, 3], [2, 2], "has not one number for each of merge_layer"),
    ("tempme.frame_list", [96, 48, 24, 12], [32, 16, 8, 4], r"give \[96, 48, 24, 12\]"),
    ("tempme.patch_list", [50, 28, 13, 11], [197, 98, 49, 25], r"give \[50, 28, 13, 11\]"),
    ("tempme.frame_pos", 0, None, ""),
    ("tempme.tome_r", 0, None, ""),
    ("stop.cross_model", "cross-base", "cross-large", "write 'cross-base'"),
    ("stop.pretrained_clip_name", "ViT-B/32", "ViT-B/16", "tempme.base_encoder is 'ViT-B/32'"),
    ("stop.pretrained_dir", None, "./pretrained", "holds no ViT-B-32.pt"),
    ("stop.cache_dir", None, "./cache", "HF_HOME"),
    ("stop.freeze_clip", True, False, "clipline train pos_neg"),
    ("stop.freeze_layer_num", 12, 0, "all 12 blocks of CLIP stay as they are"),
    ("stop.sim_header", "seqLSTM", "seqTransformer", "Did you mean 'seqTransf'"),
    ("stop.pre_visual_pooling", True, None, ""),
    ("stop.temporal_prompt", "none", "group3-2", "'group2-2' has spatial and temporal prompts"),
    ("stop.new_added_modules", ["temporal", "prompt"], ["Adapter"], "learn"),
    ("stop.loss_type", "CrossEn", "MILNCE", "'CrossEn'"),
    ("training.optimizer", "AdamW", "BertAdam", "the optimizer is 'AdamW'"),
    ("training.scheduler", "cosine", "linear", "the schedule is 'cosine'"),
    ("training.tempme_loss_weight", 1.0, 0.5, "training.tempme_lr"),
    ("training.stop_loss_weight", 1.0, 2.0, "training.stop_lr"),
    ("training.eval_every_n_epochs", 1, 2, "after each epoch"),
    ("training.warmup_epochs", 0, 10, r"less than num_epochs \(10\)"),
    ("training.datatype", "vatex", "msrvt", "Did you mean 'msrvtt'"),
    ("training.val_data_path", "", "./val", "one folder of annotations"),
    ("video_size", 224, 336, "ViT-B/32 sees 224 pixels; write 224"),
    ("video_fps", 3.0, None, ""),
    ("num_segments", 7, None, ""),
    ("top_k", 9, None, ""),
    ("similarity_threshold", 0.2, None, ""),
    ("max_frames", 1, None, ""),
]


def with_value(name, value):
    section, _, field = name.rpartition(".")
    content = {section: {field: value}} if section else {field: value}
    return parse_config(content, "c.json")


@pytest.mark.parametrize(("name", "meant", "refused", "words"), TABLE)
def test_every_field(name, meant, refused, words):
    with_value(name, meant if meant is not None else _default(name)).check()
    if refused is not None:
        with pytest.raises(ConfigError, match=words) as caught:
            with_value(name, refused).check()
        assert f"{name} = " in str(caught.value)


def _default(name):
    value = UnifiedModelConfig()
    for part in name.split("."):
        value = getattr(value, part)
    return value


def test_all_refused_fields_stand_in_one_error():
    published = {
        "tempme": {"frame_list": [32, 16, 8, 4], "patch_list": [197, 98, 49, 25]},
        "stop": {"freeze_clip": False, "cache_dir": "./cache", "pretrained_dir": "./pretrained"},
    }
    with pytest.raises(ConfigError) as caught:
        parse_config(published, "c.json").check()
    for name in (
        "tempme.frame_list",
        "tempme.patch_list",
        "stop.freeze_clip",
        "stop.cache_dir",
        "stop.pretrained_dir",
    ):
        assert f"\n  {name} = " in str(caught.value)
    assert caught.value.message.startswith("5 fields of the configuration cannot be meant here:")


def test_weights_of_a_folder(tmp_path):
    (tmp_path / "ViT-B-16.pt").write_bytes(b"x")
    config = UnifiedModelConfig(
        tempme=TempMeConfig(base_encoder="ViT-B/16"),
        stop=STOPConfig(pretrained_clip_name="ViT-B/16", pretrained_dir=str(tmp_path)),
    )
    config.check()
    assert config.to_params()[1].weights == str(tmp_path / "ViT-B-16.pt")


def test_high_thresholds_are_doubted(caplog):
    UnifiedModelConfig(similarity_threshold=0.5).check()
    assert "often nothing is found" in caplog.text


def test_a_pooled_video_has_no_clips_to_compare():
    stop = STOPConfig(pre_visual_pooling=True, sim_header="tightTransf")
    with pytest.raises(ConfigError, match="compares texts with single clips"):
        UnifiedModelConfig(stop=stop).check()


def test_no_gradient_limit():
    config = UnifiedModelConfig(training=TrainingConfig(max_grad_norm=None))
    assert config.to_params()[0].clip_grad_norm is None


def test_all_fields_are_written(tmp_path):
    UnifiedModelConfig().to_json(tmp_path / "deep" / "c.json")
    content = json.loads((tmp_path / "deep" / "c.json").read_text())
    assert set(content) >= {"tempme", "stop", "training", "device", "max_frames", "video_fps"}
    assert len(content["tempme"]) == 10
    assert len(content["stop"]) == 11
    assert len(content["training"]) == 19
