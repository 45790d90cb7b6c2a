"""Each migration says what may run beside it."""

from pathlib import Path

import pytest

from stream_detector.store.migrate import migrations


def test_every_migration_from_0004_on_names_the_oldest_schema_that_may_run_beside_it() -> None:
    known = migrations()
    assert [each.version for each in known] == list(range(1, len(known) + 1))
    assert all(each.compatible_from is None for each in known[:3])
    assert all(1 <= (each.compatible_from or 0) <= each.version for each in known[3:])


@pytest.mark.parametrize(
    "head", ["", "-- compatible from: 6\n", "-- compatible from: 0006\n", "-- compatible from: 0000\n"]
)
def test_one_that_does_not_say_so_is_refused(tmp_path: Path, head: str) -> None:
    (tmp_path / "0005_next.sql").write_text(head + "SELECT 1;", "utf-8")
    with pytest.raises(ValueError, match=r"0005_next\.sql must begin with `-- compatible from: NNNN`"):
        migrations(tmp_path)
