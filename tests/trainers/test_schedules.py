import pytest

from pipeline_lib.trainers.schedules import warmup_cosine

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
