"""S14 to S18: what the message of a run has when it did not go as usual; that of a good run is in `golden/`."""

from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG, LIDO, change, run_of

FELL = change("DupY", "5.0", "2.0")
ROSE = change("DupY again", "2.0", "5.0", entity_id="dupy", entity_name="DupY")
WINDOW = "window~~2026-01-22T00:05Z"


def test_s18_an_entity_that_falls_and_rises_within_a_minute_has_a_line_for_each() -> None:
    one = Notifier(CONFIG).take(run_of(LIDO, FELL, ROSE, run_id=WINDOW)).deliver()
    for text in (*one.got("slack"), *one.got("email")):
        lines = [line for line in text.splitlines() if line.startswith("•")]
        assert lines == [
            "• DupY: 5.0 → 2.0 (-3.0) ⬇️",
            "• DupY: 2.0 → 5.0 (+3.0) ⬆️",
            "• Lido: 7.5 → 5.8 (-1.7) ⬇️",
        ]
    assert {each.message.severity for each in one.sent} == {"critical"}
