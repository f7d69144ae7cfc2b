from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.own_data.source import SourceVideo
from pipeline_lib.own_data.splitting import apportion, assign_splits, parse_shares

SHARES = parse_shares("70,15,15")


def videos(count, name="fall"):
    return [
        SourceVideo(Path(f"{k}.mp4"), f"{name}/{k}.mp4", "", name, str(k)) for k in range(count)
    ]


@pytest.mark.parametrize(
    ("total", "counts"),
    [
        (0, [0, 0, 0]), (1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1]),
        (6, [4, 1, 1]), (10, [7, 2, 1]), (20, [14, 3, 3]), (1000, [700, 150, 150]),
    ],
)  # fmt: skip
def test_shares_become_whole_videos(total, counts):
    assert apportion(total, [0.7, 0.15, 0.15]) == counts


def test_a_share_of_zero_gets_nothing():
    assert apportion(5, [0.5, 0.0, 0.5]) == [3, 0, 2]


def test_the_same_seed_deals_the_same_whatever_the_order():
    once = {v.relative: v.split for v in assign_splits(videos(30), SHARES, 1, {})}
    again = {v.relative: v.split for v in assign_splits(videos(30)[::-1], SHARES, 1, {})}
    other = {v.relative: v.split for v in assign_splits(videos(30), SHARES, 2, {})}
    assert once == again
    assert once != other


def test_most_videos_stay_when_others_come_in():
    before = {v.relative: v.split for v in assign_splits(videos(100), SHARES, 1, {})}
    after = {v.relative: v.split for v in assign_splits(videos(104), SHARES, 1, {})}
    assert sum(after[name] == split for name, split in before.items()) >= 90


@pytest.mark.parametrize("text", ["70,30", "a,b,c", "0,50,50", "-1,1,1", "nan,1,1", "inf,1,1"])
def test_shares_that_are_none(text):
    with pytest.raises(ConfigError, match="not three shares"):
        parse_shares(text)
