import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.errors import BatchError, DataError
from pipeline_lib.reporting.page import render, write_report
from pipeline_lib.reporting.project import Project
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.tables import write_csv, write_parquet
from tests.reporting.made_up import COOP, commit, git, make
from tests.support.video_files import garbage

COOP_FOLDER = "metrics/plots/coop"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "project")
    return at(tmp_path / "project", made.config)


def at(root, config):
    return Project(root, root / "data/own/videos", config)


def page_of(project):
    return render(project, "data/own")


def section(page, name):
    return page.split(f'<section id="{name}"')[1].split("</section>")[0]


def texts(html):
    """What is read, without tags; spaces made one."""
    html = re.sub(r"<svg.*?</svg>", "", html)
    apart = re.sub(r"</(td|th|li|p|small|h3)>", " ", html)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", apart)))


def test_numbers_stand_beside_their_controls(project):
    found = section(page_of(project), "metrics")
    row = next(row for row in found.split("<tr>") if "balanced_<wbr>accuracy" in row)
    cells = ["test.frame.balanced_accuracy", "0.800", "—", "0.600", "0.500"]
    assert texts(row).split()[:5] == cells
    assert "80.0" in found
    assert "best control: zero shot 60.0" in found
    assert "All 4 numbers of CoOp prompts" in found


def test_numbers_below_zero_are_not_drawn_between_0_and_1(project):
    tree = json.loads(json.dumps(COOP))
    tree["test"]["frame"]["accuracy"] = -0.5
    write_json(project.root / "metrics/coop.json", tree)
    first = section(page_of(project), "metrics").split("<details>")[0]
    rows = {texts(row).split()[0]: row for row in first.split("<tr>")[2:]}
    assert "<circle" in rows["test.frame.balanced_accuracy"]
    assert "<circle" not in rows["test.frame.accuracy"]


def test_settings_are_no_costs(project):
    config = {"parameters": 1234, "config": {"frames": 8}, "cost": {"gmac": 2.5}}
    write_json(project.root / "data/models/coop/config.json", config)
    found = texts(section(page_of(project), "cost"))
    file = "data/models/coop/config.json"
    assert f"parameters{file} 1 234" in found
    assert f"multiply-adds of a video, 10⁹{file} 2.500" in found
    assert "frames of a video" not in found


def test_changes_are_against_the_commit_before(project):
    git(project.root, "init", "-q")
    first = commit(project.root, "one")
    tree = json.loads(json.dumps(COOP))
    tree["test"]["frame"].update(accuracy=0.95, fresh=1)
    write_json(project.root / "metrics/coop.json", tree)
    found = texts(section(page_of(project), "metrics"))
    assert f"Change against {first[:10]} of 2026-03-01." in found
    assert "test.frame.accuracy 0.950 +0.050" in found
    assert "test.frame.fresh 1 new" in found
    assert "test.frame.balanced_accuracy 0.800 ±0" in found


def test_an_earlier_version_of_another_form_is_told(project):
    git(project.root, "init", "-q")
    (project.root / "metrics/coop.json").write_text('{"test": {"control": 1}}')
    first = commit(project.root, "one")
    write_json(project.root / "metrics/coop.json", COOP)
    found = texts(section(page_of(project), "metrics"))
    assert f"Change: the version of 2026-03-01 ({first[:10]}) is of another form." in found


def test_the_same_files_give_the_same_page_before_and_after_the_commit(project, tmp_path):
    git(project.root, "init", "-q")
    commit(project.root, "one")
    tree = json.loads(json.dumps(COOP))
    tree["test"]["frame"]["accuracy"] = 0.25
    write_json(project.root / "metrics/coop.json", tree)
    before = page_of(project)
    commit(project.root, "two", "2026-03-05T12:00:00+00:00")
    git(project.root, "clone", "-q", str(project.root), str(tmp_path / "elsewhere"))
    assert page_of(project) == before
    assert page_of(at(tmp_path / "elsewhere", project.config)) == before
    assert str(tmp_path) not in before


def test_curves_have_their_numbers_in_a_table(project):
    found = section(page_of(project), "curves")
    assert found.count("<svg viewBox") >= 2
    assert "train loss, val loss over epoch" in found
    loss = found.split("<summary>Numbers</summary>")[1]
    assert texts(loss).split()[:12] == [
        "epoch", "train", "loss", "val", "loss", "1", "2.000", "2.000", "2", "1.000", "—", "3",
    ]  # fmt: skip


def test_matrices_are_tables_of_counts_and_shares(project):
    found = texts(section(page_of(project), "confusion"))
    assert "Videos of test: 2 of 3 right." in found
    assert re.search(r"fall 150.% 150.% normal 0 1100.%", found)


def test_many_classes_are_shown_as_the_picture(project):
    names = [f"c{k:02d}" for k in range(21)]
    table = pd.DataFrame({"actual": names, "predicted": names})
    write_csv(project.path(f"{COOP_FOLDER}/confusion_video.csv"), table)
    Image.new("RGB", (30, 20)).save(project.path(f"{COOP_FOLDER}/confusion_video.png"))
    found = section(page_of(project), "confusion")
    assert "Confusion matrix of 21 classes: 21 of 21 videos right" in found
    assert "<table" not in found


def test_wrong_videos_come_first(project):
    found = section(page_of(project), "timelines")
    assert re.findall(r"<b>(.*?)</b>", found) == ["test/fall/b", "test/fall/a", "test/normal/c"]
    assert "Frames of the video at 1, 3, 5, 7, 9 seconds" in found
    assert "margin-left:9.2000%;width:71.4000%" in found
    assert project.problems.found == []


@pytest.mark.parametrize("most", [0, 1, 2])
def test_settings_say_how_many_are_shown(made, most):
    page = page_of(at(made.root, replace(made.config, timelines=most, examples=0)))
    assert section(page, "timelines").count('class="timeline"') == most
    assert "<img" not in section(page, "examples")


def test_pictures_are_scaled_into_the_page(project):
    found = section(page_of(project), "examples")
    assert 'src="data:image/webp;base64,' in found
    assert 'width="1000" height="500" alt="When does' not in found
    assert 'width="1000" height="500" alt="When &lt;b&gt;barks&lt;/b&gt; it?"' in found


def test_words_of_files_cannot_become_markup(project):
    evil = "test/fall/<script>alert(1)</script>"
    table = pd.DataFrame({"video": [evil], "label": ["</td>"], "predicted": ["<img src=x>"]})
    write_parquet(project.path("data/evaluation/coop/video_predictions.parquet"), table)
    pairs = {"actual": ["<i>"] * 2, "predicted": ["<i>", "\"'><b>"]}
    write_csv(project.path(f"{COOP_FOLDER}/confusion_video.csv"), pd.DataFrame(pairs))
    write_json(project.root / "metrics/<u>.json", {"<s>": {"<em>": 1}})
    page = render(project, "<script>x")
    assert page.count("<script>") == 1
    for tag in ("<i>", "<em>", "<u>", "<s>", "<img src=x", "\"'><b>"):
        assert tag not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in section(page, "failures")


def test_the_page_asks_for_nothing(project):
    page = page_of(project)
    assert "default-src 'none'" in page
    addresses = re.findall(r"(?:src|href|action|data)=\"([^\"]*)\"", page)
    assert {address[:5] for address in addresses if not address.startswith("#")} == {"data:"}
    assert "http:" not in page
    assert "https:" not in page


def test_failures_and_what_did_not_fail_are_told(project):
    found = texts(section(page_of(project), "failures"))
    assert "1 listed; 2 questions looked at." in found
    assert "b_cat test/fall/b.mp4 corrupt" in found
    items = {name: ["x"] for name in ("id", "video_path", "question", "reason", "message")}
    write_parquet(
        project.path("data/mined/items.parquet"), pd.DataFrame({**items, "status": ["mined"]})
    )
    found = texts(section(page_of(project), "failures"))
    assert "Mining: 1 question looked at, nothing failed." in found


def test_features_that_failed_or_were_damaged_are_listed(project):
    video = {"sha256": "0", "rows": 1, "clips": 1, "duration_s": 1.0, "decode_errors": 2}
    manifest = {
        "backbone": "clip", "fingerprint": "0", "weights_id": "0", "weights_sha256": "0",
        "trained": True, "dim": 4, "every_s": 1.0, "videos": {"test/fall/a": video},
    }  # fmt: skip
    write_json(project.path("data/features/clip/manifest.json"), manifest)
    row = {"video": ["test/fall/z"], "file": ["z.mp4"], "reason": ["empty"], "message": ["NA"]}
    write_csv(project.path("data/features/clip/failures.csv"), pd.DataFrame(row))
    found = texts(section(page_of(project), "failures"))
    assert "Features, clip 1 listed; 2 videos looked at." in found
    assert "test/fall/z z.mp4 empty NA" in found
    assert "test/fall/a 2" in found


def test_what_was_not_run_says_what_runs_it(project):
    found = texts(section(page_of(project), "not_run"))
    assert "VideoMamba metrics dvc repro evaluate-videomamba metrics/videomamba.json" in found
    assert "CoOp prompts metrics dvc" not in found


def test_an_empty_project_has_a_page_too(tmp_path):
    (tmp_path / "params.yaml").write_text("data: {root: data}\n")
    report = write_report(tmp_path / "params.yaml", tmp_path / "out", tmp_path)
    page = report.path.read_text(encoding="utf-8")
    assert report.problems.found == []
    assert "No metrics yet" in page
    assert report.size == report.path.stat().st_size
    assert texts(section(page, "not_run")).count("dvc repro") > 15


def test_metrics_that_are_no_json_stop_the_page(project, tmp_path):
    (project.root / "metrics/coop.json").write_text("{")
    with pytest.raises(DataError, match=r"coop\.json: not readable as JSON"):
        write_report(project.root / "params.yaml", tmp_path / "out", project.root)
    assert not (tmp_path / "out/index.html").exists()


def test_what_cannot_be_shown_is_listed_and_the_rest_is_shown(project, tmp_path):
    broken = project.path(f"{COOP_FOLDER}/timelines/test__fall__a.png")
    broken.write_bytes(b"no picture")
    (project.videos / "test/normal/c.mp4").unlink()
    garbage(project.videos / "test/fall/b.mp4")
    project.path(f"{COOP_FOLDER}/history.csv").write_text("epoch,train_loss\n1,2\n")
    project.path(f"{COOP_FOLDER}/recall_per_class.csv").write_text("class,frame\nfall,much\n")
    project.path(f"{COOP_FOLDER}/confusion_video.csv").write_text("")
    project.path("data/mined/items.parquet").write_bytes(b"no table")
    project.path("data/mined/sheets/a_dog.png").write_bytes(b"")
    report = write_report(project.root / "params.yaml", tmp_path / "out", project.root)
    found = [f"{problem.what} | {problem.why}" for problem in report.problems.found]
    wanted = [
        "Loss .*no column 'val_loss'",
        "Accuracy on val .*no column 'val_balanced_accuracy'",
        "Recall of each class.*column 'frame' holds 'much', no number",
        r"confusion_video\.csv: is empty",
        "Timeline of test/fall/b: frames",
        r"Timeline of test/fall/a \| .*not a readable picture",
        r"Timeline of test/normal/c: frames \| .*no such video",
        r"captions.*not a readable parquet",
        r"a_dog\.png: not a readable picture",
        r"Mined frames: failures.*not a readable parquet",
    ]
    for pattern in wanted:
        assert sum(bool(re.search(pattern, line)) for line in found) == 1, pattern
    assert len(found) == len(wanted)
    page = report.path.read_text(encoding="utf-8")
    assert f"{len(wanted)} things of this page could not be shown" in texts(page)
    assert section(page, "timelines").count('class="timeline"') == 2
    assert str(tmp_path) not in page
    with pytest.raises(BatchError, match=f"{len(wanted)} of the things to show"):
        report.problems.raise_found(report.path)


def test_a_missing_folder_of_videos_is_one_problem(project):
    shutil.rmtree(project.videos)
    page = page_of(project)
    assert len(project.problems.found) == 1
    assert section(page, "timelines").count('class="timeline"') == 3


def test_the_command_writes_the_page_without_torch(project):
    code = (
        "import sys; from stages.report import app\n"
        "try: app(['--out', 'out'], standalone_mode=False)\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.root, text=True, capture_output=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith("wrote out/index.html: ")
    assert done.stdout.splitlines()[-1] == "False"
