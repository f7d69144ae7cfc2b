import pytest

from pipeline_lib.trainers.schedules import linear_cosine, warmed_cosine, warmup_cosine

PUBLISHED = {
    1: 1e-5,
    2: 2.0e-3,
    3: 1.998027e-3,
    4: 1.992115e-3,
    5: 1.982287e-3,
    6: 1.968583e-3,
    50: 7.885299e-6,
}


def rates(epochs, warmup_epochs):
    return [
        warmup_cosine(epoch, lr=0.002, epochs=epochs, warmup_epochs=warmup_epochs, warmup_lr=1e-5)
        for epoch in range(1, epochs + 1)
    ]


def test_the_rates_of_the_published_log():
    made = rates(50, 1)
    for epoch, lr in PUBLISHED.items():
        assert made[epoch - 1] == pytest.approx(lr, rel=5e-7)


@pytest.mark.parametrize("warmup_epochs", [0, 1, 3, 10, 12])
def test_the_rate_never_rises_above_its_base(warmup_epochs):
    made = rates(10, warmup_epochs)
    assert made[:warmup_epochs] == [1e-5] * min(warmup_epochs, 10)
    cosine = made[warmup_epochs:]
    assert all(0 < lr <= 0.002 for lr in made)
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[:1] in ([], [0.002])


def by_step(steps, warmup_steps):
    return [
        linear_cosine(step, lr=0.1, steps=steps, warmup_steps=warmup_steps, warmup_lr=0.02)
        for step in range(steps)
    ]


def test_a_linear_rise_and_a_cosine_to_zero():
    assert by_step(8, 4) == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, 0.1, 0.08535534, 0.05, 0.01464466]
    )
    assert linear_cosine(8, lr=0.1, steps=8, warmup_steps=4, warmup_lr=0.02) == pytest.approx(0)


@pytest.mark.parametrize("warmup_steps", [0, 1, 5, 10, 12])
def test_no_step_is_above_the_base_whatever_the_warm_up(warmup_steps):
    made = by_step(10, warmup_steps)
    rise, fall = made[:warmup_steps], made[warmup_steps:]
    assert all(0 < lr <= 0.1 for lr in made)
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert fall[:1] in ([], [0.1])


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_the_steps_warms_up_and_no_step_is_wasted(ratio):
    made = [warmed_cosine(step, lr=0.1, steps=10, warmup_ratio=ratio) for step in range(10)]
    warmup = round(10 * ratio)
    assert made[:warmup] == pytest.approx([0.1 * (i + 1) / (warmup + 1) for i in range(warmup)])
    assert all(0 < lr <= 0.1 for lr in made)
    assert made[warmup : warmup + 1] in ([], [0.1])


def test_a_cosine_may_end_above_zero():
    made = [
        linear_cosine(step, lr=0.1, steps=8, warmup_steps=4, warmup_lr=0.02, min_lr=0.02)
        for step in range(9)
    ]
    # The same curve, of 0.08 above 0.02 instead of 0.1 above nothing.
    assert made[4:] == pytest.approx(
        [0.1, 0.02 + 0.8 * 0.08535534, 0.06, 0.02 + 0.8 * 0.01464466, 0.02]
    )
