"""What cannot run here as it is written: why, and what is held to in its place.

A command that is not in these tables runs as it stands on the page and has to end with 0.
"""

from dataclasses import dataclass

NO_WEIGHTS = "published weights; there is no network in a test"


@dataclass(frozen=True)
class Instead:
    """What happens in place of one command of one page.

    Attributes:
        page: The page below the repository.
        command: As on the page, in one line, without its comment; a script's first line.
        reason: Why it does not run as it stands, or does not end with 0.
        run: What runs in its place; empty means the command itself.
        code: The exit code that it has to have.
        says: A regular expression for what it has to print.
        test: The test elsewhere that executes it, `tests/x/test_y.py::test_z`; nothing runs here.
        before: A command that has to run first.
        after: One that puts the project back, for what the page says next.
        serves: It is a server: it is asked for the page whose address it prints, then stopped.
    """

    page: str
    command: str
    reason: str
    run: str = ""
    code: int = 0
    says: str = ""
    test: str = ""
    before: str = ""
    after: str = ""
    serves: bool = False


INSTEAD = (
    Instead(
        "README.md",
        "make demo",
        "is `dvc repro` and `clipline summary`, from a new environment",
        run="dvc repro && clipline summary",
        says="balanced_accuracy",
    ),
    Instead(
        "README.md",
        "make test",
        "is what runs this",
        test="tests/docs/test_references.py::test_make_targets_exist",
    ),
    Instead(
        "README.md",
        "clipline extract clip,mobileclip,slowfast,dinov2 some/folder --out features",
        NO_WEIGHTS,
        code=2,
        says=r"Cannot fetch the weights",
    ),
    Instead(
        "README.md",
        "clipline report",
        "what the README says next is said of the demo's data",
        says="metrics/report/index.html",
        after="git checkout -q . && dvc checkout -q",
    ),
    Instead(
        "README.md",
        "dvc exp run --queue -S 'train.n_ctx=4,16' -S 'train.csc=true,false'"
        " -S 'train.class_token_position=end,middle'",
        "eight experiments; two of them",
        run="dvc exp run --queue -S 'train.n_ctx=4,16'",
        says="Queued experiment",
    ),
    *(
        Instead(
            page,
            "clipline serve embeddings",
            "a server, and its port may be taken",
            run="clipline serve embeddings --port 0",
            serves=True,
            says=r"http://127\.0\.0\.1:\d+/",
        )
        for page in ("README.md", "docs/search_page.md")
    ),
    Instead(
        "docs/search_page.md",
        "clipline serve embeddings --host 0.0.0.0 --token auto",
        "a server, and its port may be taken",
        run="clipline serve embeddings --port 0 --host 0.0.0.0 --token auto",
        serves=True,
        says=r"http://\S+token=",
    ),
    Instead(
        "docs/search_page.md",
        "ssh -L 8765:127.0.0.1:8765 gpubox",
        "another machine; a stand-in for ssh reads the options",
        says="forwards 8765",
        before="true",
    ),
    Instead(
        "docs/doctor.md",
        "clipline doctor",
        "it would see the stand-ins for programs of these tests",
        run='PATH="${PATH//$DOCS_PROGRAMS:/}" clipline doctor',
        says="0 failed",
    ),
    Instead(
        "docs/experiments.md",
        "dvc queue status",
        "the page tells of one that fails",
        before="dvc exp run --queue -S train.n_ctx=99 && dvc exp run --run-all",
        says="Failed",
    ),
    Instead(
        "docs/extraction.md",
        "clipline extract clip,mobileclip,slowfast,dinov2 some/folder --out features",
        NO_WEIGHTS,
        code=2,
        says=r"Cannot fetch the weights",
    ),
    Instead(
        "docs/extraction.md",
        "clipline extract slowfast video.mp4 --weights SLOWFAST_8x8_R50.pyth --clip-len 2",
        NO_WEIGHTS,
        code=2,
        says=r"SLOWFAST_8x8_R50\.pyth",
    ),
    Instead(
        "docs/extraction.md",
        "clipline extract clip,dinov2",
        NO_WEIGHTS,
        run="clipline extract clip,clip_untrained",
        says=r"data/features/clip_untrained: 0 extracted",
    ),
    Instead(
        "docs/coop.md",
        "clipline import-features some/features clip",
        "extracted features stand in the same place, and are never replaced by imported ones",
        before="rm -r data/features/clip",
        says="imported",
    ),
    Instead(
        "docs/top_frames.md",
        'clipline top-frames a.mp4 "a red ring" --model transformers:openai/clip-vit-large-patch14',
        NO_WEIGHTS,
        code=2,
        says="openai/clip-vit-large-patch14",
    ),
    Instead(
        "docs/top_frames.md",
        'clipline top-frames a.mp4 "a red ring" --model ViT-L-14-quickgelu --weights openai',
        NO_WEIGHTS,
        code=2,
        says="Cannot fetch the weights openai of",
    ),
    Instead(
        "docs/weights.md",
        "clipline weights fetch clip slowfast dinov2 --use",
        NO_WEIGHTS,
        code=2,
        says="cannot be reached from this machine",
    ),
    Instead(
        "docs/weights.md",
        "clipline weights verify slowfast",
        NO_WEIGHTS + "; a file of the same name",
        before="mkdir -p data/weights/published/slowfast"
        " && cp model.pth.tar-50 data/weights/published/slowfast/SLOWFAST_8x8_R50.pyth",
    ),
    Instead(
        "docs/weights.md",
        "dvc add data/weights/published/clip/ViT-B-32.pt data/weights/published/dinov2/base",
        NO_WEIGHTS + "; files of the same names",
        before="mkdir -p data/weights/published/{clip,dinov2/base} && cp model.pth.tar-50"
        " data/weights/published/clip/ViT-B-32.pt && touch data/weights/published/dinov2/base/c"
        " && dvc remote add --default store ../store",
    ),
    Instead(
        "docs/scaling.md",
        "pip install 'clipline[ray]'",
        "a package index; the extra is one of pyproject.toml",
        test="tests/docs/test_references.py::test_extras_exist",
    ),
    Instead(
        "docs/scaling.md",
        "#!/bin/bash",
        "SLURM, 64 tasks; the same script, with 2 tasks, through a stand-in for sbatch",
        run="sbatch --wait {script}",
        says="1 extracted",
    ),
    Instead(
        "docs/scaling.md",
        "srun --ntasks 64 --cpus-per-task 8 --kill-on-bad-exit=0 clipline extract clip"
        " /shared/videos --out /shared/features --executor shard",
        "SLURM, 64 tasks; 2 of them through a stand-in for srun",
        run="srun --ntasks 2 --cpus-per-task 8 --kill-on-bad-exit=0 clipline extract clip"
        " /shared/videos --out /shared/more --executor shard",
        says="1 extracted",
    ),
    Instead(
        "docs/scaling.md",
        "srun --ntasks 64 clipline extract clip --executor shard",
        "SLURM, 64 tasks; 2 of them through a stand-in for srun",
        run="srun --ntasks 2 clipline extract clip --executor shard",
        says="0 extracted",
    ),
    Instead(
        "docs/scaling.md",
        "torchrun --standalone --nproc-per-node 4 --no-python bash -c 'CUDA_VISIBLE_DEVICES="
        "$LOCAL_RANK clipline extract clip videos --out features --executor shard || [ $? -eq 2 ]'",
        "four GPUs; the same on the CPU, with two processes",
        run="torchrun --standalone --nproc-per-node 2 --no-python bash -c 'CUDA_VISIBLE_DEVICES="
        "$LOCAL_RANK clipline extract clip videos --out features --executor shard || [ $? -eq 2 ]'",
        says="1 extracted",
    ),
    Instead(
        "docs/scaling.md",
        "clipline extract clip videos --out features --executor ray",
        "a Ray cluster takes 20 s to start",
        test="tests/extraction/test_executors.py::"
        "test_every_executor_ends_the_same_way_on_the_command_line",
    ),
    Instead(
        "docs/scaling.md",
        "RAY_ADDRESS=head:6379 clipline extract clip /shared/videos --out /shared/features"
        " --executor ray",
        "a Ray cluster of several machines",
        test="tests/extraction/test_executors.py::"
        "test_a_ray_that_is_open_stays_open_and_errors_arrive_as_they_are",
    ),
)

# What a page takes for granted when it begins.
BEFORE = {
    # Classes and tables of events, as `clipline init` wants them.
    "README.md": "rm -r some/folder && mkdir -p some/folder/annotations"
    " && cp -r data/demo/videos/*/{normal,stop_light} some/folder/"
    " && cp data/demo/annotations/stop_light* some/folder/annotations/",
}

# YAML blocks that are written into params.yaml before the commands behind them: page and a line.
APPLIED = (("docs/coop.md", "root: some/data"),)

# YAML that is no part of params.yaml: page, a line of it, and the file it belongs to.
OTHER_YAML: tuple[tuple[str, str, str], ...] = ()

# JSON that no reader of this project takes alone: page, a line of it, and what it is.
OTHER_JSON = (
    ("docs/search_page.md", '"tokens_cut"', "an answer of the server; tests/serving holds it"),
)

# Python blocks that do not run: page, a line of theirs, the reason, and the test that runs it.
OTHER_PYTHON = (
    (
        "docs/top_frames.md",
        "top_frames, top_scores = get_top4_frames(",
        "the call of another program that is replaced",
        "",
    ),
    (
        "docs/pos_neg.md",
        'CLIPModel.from_pretrained("data/models/pos_neg/best")',
        "the demo's CLIP is none of transformers",
        "tests/trainers/pos_neg/test_saving.py::test_transformers_loads_a_saved_model",
    ),
)
