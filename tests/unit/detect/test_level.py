"""The level's numbers on one seeded series: a constant that moves is a change of every baseline, and is seen here."""

from random import Random

import pytest

from stream_detector.detect.level import Level


@pytest.fixture(scope="module")
def followed():
    random, level, surprises = Random(11), Level(), []
    for n in range(600):
        at_ms = n * (300_000 if n % 2 else 7_200_000) + n * 3_600_000
        usual = 50.0 * random.lognormvariate(0, 0.2) * (1.6 if 400 <= n < 420 else 1.0)
        judged = level.take(usual * (8 if n in (150, 300, 450) else 1), at_ms)
        if judged and judged.surprises:
            surprises.append((n, judged.surprises[0].runs, pytest.approx(judged.surprises[0].size, abs=1e-5)))
    return level, surprises


def test_spikes_and_the_slow_down_surprise_at_their_scales(followed):
    assert followed[1] == [
        (150, 1, 18.563877),
        (300, 1, 4.626805),
        (367, 1, 1.257241),
        (402, 3, 4.67455),
        (404, 3, 1.710179),
        (409, 12, 4.829555),
        (410, 12, 5.117102),
        (411, 12, 2.846142),
        (412, 12, 4.385604),
        (450, 1, 3.611073),
    ]


def test_what_is_learned(followed):
    level = followed[0]
    assert level.level == pytest.approx(3.9146887396472163)
    assert level.variance == pytest.approx(0.06880578484069969)
    assert level.slow == pytest.approx(-0.057892905650903256)
    assert level.heard == pytest.approx(3.6338388309283682)
    assert level.seen == pytest.approx(715.2424299544191)
    assert level.passed[:3] == pytest.approx([2.3892210167986105, 1.9205411154502137, 3.79601987750211])
    assert level.excess[:3] == pytest.approx([4.603330590572545, 0.11751195269328384, 0.7548358528177537])
    assert level.passed[4] == pytest.approx(0.9470487449537616)
