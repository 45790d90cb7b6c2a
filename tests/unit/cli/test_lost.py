"""X16: what `reset-source` and `recorder rewind` print, and what they refuse before they ask anybody."""

import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner

from stream_detector.cli import main, rewind
from stream_detector.cli import reset_source as reset
from stream_detector.roles.restore.reset_source import Reset, RoleReset
from stream_detector.roles.restore.rewind import Rewound
from stream_detector.store.source_positions import Gap

SCORES_3 = TopicPartition("ci.scores", 3)


@pytest.mark.parametrize("text", ["yesterday", "1700000000000", "2026-13-01", ""])
def test_x16_a_time_that_is_none_is_wrong_usage_with_an_example(text: str) -> None:
    done = CliRunner().invoke(main, ["recorder", "rewind", "--to", text, "--broker", "h:1", "--database-url", "x"])
    assert done.exit_code == 2 and "such as 2026-11-30T14:00:00Z" in done.output


@pytest.mark.parametrize("words", [[], ["--broker", "h:1"]])
def test_x16_a_rewind_needs_broker_and_database(words: list[str]) -> None:
    done = CliRunner().invoke(main, ["recorder", "rewind", "--to", "2026-11-30", *words])
    assert done.exit_code == 2 and "is not set" in done.output


@pytest.mark.parametrize("topic", ["nope", "ci.scores"])
def test_x16_a_topic_that_no_role_reads_is_wrong_usage(topic: str) -> None:
    words = ["reset-source", "--topic", topic, "--partition", "0", "--to", "latest", "--broker", "h:1"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "'workflow-completions'" in done.output


def test_x16_a_reset_says_what_is_skipped_and_what_a_dry_run_would_change() -> None:
    done = Reset(SCORES_3, 100, 500, 500, [RoleReset("detector", 520, keys=1200)], moved_rows=7)
    assert reset.describe(done, dry_run=False, has_database=True) == [
        "ci.scores-3 holds offsets 100 to 500",
        "detector: had applied 520, continues at 500; 1,200 records of its state were rewritten",
        "400 records before that are not read again",
        "PostgreSQL: 7 rows now lie below the new offsets",
    ]
    dry = reset.describe(done, dry_run=True, has_database=False)
    assert "would continue at 500; 1,200 records of its state would be rewritten" in dry[1]
    assert "DATABASE_URL is not set" in dry[-1]


def test_x16_a_rewind_names_what_kafka_does_not_have_and_what_is_older_than_its_time() -> None:
    done = Rewound(1086, 15, [Gap("scores", 0, 100, 700)], [Gap("alerts", 2, 5, 6)])
    assert rewind.describe(done) == [
        "the recorder reads 1,086 records of 15 partitions again when it starts",
        "scores-0: 600 records (offsets 100 to 699): Kafka does not have them any more; publish them again",
        "alerts-2: 1 record (offsets 5 to 5): still missing, they are older than --to",
    ]
