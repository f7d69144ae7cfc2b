"""The table of the README, from the figures that the benchmarks kept."""

import json
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

README = RESULTS.parents[1] / "README.md"
_START, _END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->"


def table(results: dict[str, Any]) -> str:
    """Markdown of ``results.json``."""
    clip, slowfast = results["clip_extraction"], results["slowfast"]
    reading, memory = results["reading"], results["memory"]
    together, engines = results["one_decode"], results["engines"]
    coop, scale = results["coop_training"], results["coop_scale"]
    usual, reached = coop["usual_over"], coop["trainings"]
    mining, tuning = results["mining"], results["pos_neg_training"]
    merging, index = results["token_merging_ViT-B-32-quickgelu_48"], results["vector_index"]
    scan, frames = results["selective_scan"]["tiny_8_frames"], results["videomamba_frames"]
    took = {name: way["forward_ms"] + way["backward_ms"] for name, way in scan.items()}
    fast = next(row for row in merging["schedules"] if row["schedule"] == "fast")
    machine = clip["machine"]
    gain = [
        engines[name]["torch bf16"]["ms_a_sample"] / engines[name]["openvino bf16"]["ms_a_sample"]
        for name in ("clip", "mobileclip", "slowfast", "dinov2")
    ]
    rows = [
        ("CPU time of the usual recipe (OpenCV, PIL, fp32) over this one's, CLIP ViT-B/32, "
         "2 fps of 720p, bf16", f"{clip['cpu_recipe_over_clipline_bf16']:.1f}x"),
        ("the same with OpenVINO", f"{clip['cpu_recipe_over_clipline_openvino']:.1f}x"),
        ("the same in fp32", f"{clip['cpu_recipe_over_clipline_fp32']:.1f}x"),
        ("wall time over the slower of decoding and model alone, a core each",
         f"{clip['wall_over_slower_part_alone']:.2f}"),
        ("CLIP in bf16: share of the measured matrix rate; lowest cosine to fp32",
         f"{clip['bf16_share_of_matrix_rate']:.0%}; {clip['bf16_lowest_cosine']:.5f}"),
        ("SlowFast in bf16: time over the published network's in fp32; lowest cosine",
         f"{slowfast['bf16_over_published_fp32']:.2f}; {slowfast['bf16_lowest_cosine']:.6f}"),
        ("300 frames: CPU time of a seek for each over one pass",
         f"{reading['seek_each_over_one_pass']:.0f}x"),
        ("4 of 6000 frames: CPU time of decoding all over key-frame seeks",
         f"{reading['one_pass_over_keyframe_seeks']:.0f}x"),
        ("four backbones in one pass over the models alone and one decode, CPU time",
         f"{together['together_over_parts']:.2f}"),
        ("OpenVINO over torch in bf16, four backbones", f"{min(gain):.1f}x to {max(gain):.1f}x"),
        ("10 minutes of 720p: peak memory above the loaded model; above the model at work",
         f"{memory['ten_minutes_peak_above_mb']} MB; "
         f"{memory['ten_minutes_peak_above_model_alone_mb']} MB"),
        (f"growth over {memory['many']} videos", f"{memory['growth_over_many_mb']:.0f} MB"),
        (f"prompt learning, {coop['windows']:,} windows, {coop['classes']} classes, text tower of "
         "ViT-B/32: an epoch of the usual loop over `original`; in bf16; over `fast`",
         f"{usual['original']:.0f}x; {usual['original, bf16']:.0f}x; {usual['fast']:.0f}x"),
        ("balanced accuracy of the usual loop, `original` and `fast` trained to the end (the "
         "demo's text tower)",
         ", ".join(f"{100 * reached[name]['balanced_accuracy']:.1f}"
                   for name in ("usual loop", "original", "fast"))),
        (f"{scale['windows'] / 1e6:.0f} million windows ({scale['matrix_gb']} GB): packing, an "
         "epoch of `fast`; private memory above the loaded model",
         f"{scale['pack']['seconds']:.0f} s, {scale['epoch']['seconds']:.0f} s; "
         f"{scale['epoch']['private_mb'] - scale['before_mb']} MB"),
        (f"frames of {mining['items']} questions on {mining['videos']} videos: CPU time of a seek "
         "and an embedding for each over `mine`, random negatives; hard ones; the same run again",
         f"{mining['random, 4 tries']['usual_over_cold_cpu']:.0f}x; "
         f"{mining['hard, 24 tries']['usual_over_cold_cpu']:.0f}x; "
         f"{mining['random, 4 tries']['usual_over_warm_cpu']:.0f}x, "
         f"{mining['hard, 24 tries']['usual_over_warm_cpu']:.0f}x"),
        ("fine-tuning ViT-B/32 on them: CPU time of the usual loop in fp32 over `train pos_neg`, "
         "full in fp32; full, LoRA and head in bf16",
         f"{tuning['full']['fp32']['usual_over_ours']:.1f}x; "
         + ", ".join(f"{tuning[m]['bf16']['usual_over_ours']:.1f}x"
                     for m in ("full", "lora", "head"))),
        (f"embedding {merging['frames']} frames of a video with ViT-B/32, random weights, fp32: "
         "CPU time of no merging over `fast`; of open_clip; multiply-adds spared; lowest cosine",
         f"{merging['time']['fast']['times_faster']:.1f}x; "
         f"{merging['time']['fast']['times_faster_than_open_clip']:.1f}x; "
         f"{fast['fewer_macs']:.0%}; {fast['video_cosine_least']:.3f}"),
        (f"the best of {index['vectors'] / 1e6:.0f} million videos: exact search; the index; its "
         "recall of the ten best",
         f"{index['exact scan']['median_ms']:.0f} ms; {index['library']['median_ms']:.0f} ms; "
         f"{index['library']['recall_at_10']:.0%}"),
        ("VideoMamba's recurrence, 1569 tokens, forward and backward, CPU time: a loop over "
         "`x[:, :, t]`; mambapy; associative_scan; `torch` over `compiled`",
         f"{took['indexed loop'] / took['torch']:.0f}x; {took['mambapy'] / took['torch']:.0f}x; "
         f"{took['associative_scan'] / took['torch']:.0f}x; "
         f"{took['torch'] / took['compiled']:.1f}x"),
        ("64 frames over 8, VideoMamba tiny; a ViT of the same width with joint attention",
         f"{frames['times_longer']['VideoMamba']:.1f}x; "
         f"{frames['times_longer']['ViT, joint attention']:.0f}x"),
    ]  # fmt: skip
    lines = [
        f"Measured on {machine['cores']} cores, {machine['cpu']}, parts of a row in one run "
        "(`python -m benchmarks.clip_extraction` and its siblings):",
        "",
        "| | |",
        "|---|---|",
        *(f"| {what} | {figure} |" for what, figure in rows),
    ]
    return "\n".join(lines) + "\n"


def with_table(readme: str, results: dict[str, Any]) -> str:
    """``readme`` with the table between its marks."""
    head, rest = readme.split(_START)
    return head + _START + table(results) + _END + rest.split(_END)[1]


def main() -> None:
    """Write the table."""
    results = json.loads(Path(RESULTS).read_text())
    README.write_text(with_table(README.read_text(), results))


if __name__ == "__main__":
    main()
