"""Every message compared whole with a text file in `golden/`. `GOLDEN=write` writes them anew: read them then."""

import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from stream_detector.events import Metrics
from stream_detector.events.label_counts import LabelCounts
from stream_detector.notify.config import Route
from stream_detector.notify.policy import take_away, watch_topic
from stream_detector.notify.rendering.escape import one_line
from stream_detector.notify.shared_facets import GROUP_BY
from stream_detector.notify.stages.render import message_about
from stream_detector.notify.subject import Run, Subject
from tests.events_made import score_change
from tests.unit.notify.absent import Watching, came, census, minutes, missed, running
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import BALANCER, CONFIG, ENDED, LIDO, NASTY, change, slow

GOLDEN = Path(__file__).with_name("golden")
ONE = Run(run_id="2026-01-22", ended_at=ENDED, anomalies=(LIDO,))
TWO = Run(run_id="2026-01-22", ended_at=ENDED, anomalies=(BALANCER, LIDO))
SPIKE = Metrics(
    current_value=0.7, baseline_value=0.175, deviation=0.525, z_score=4.36, confidence=0.9, unit="ratio", direction="up"
)

SUBJECTS: dict[str, Subject] = {
    "run-of-one": ONE,
    "run-of-two": TWO,
    "slow": slow(),
    "resolved": slow("end", incident="slow", state="resolved", severity="info", duration_s=725.0),
    "new-normal": slow(
        "end",
        incident="slow",
        state="resolved",
        severity="info",
        duration_s=172_800.0,
        end_reason="new_normal",
        description="nightly has a new usual time since 2026-01-20 12:00 UTC: 2 m 10 s, before 1 m 40 s",
        investigation_steps=["Decide whether this is wanted: it was not seen to end, it became the usual"],
    ),
    "spike": slow("spike", anomaly_type="SpikeInFailures", severity="warning", metrics=SPIKE),
    "streak": slow(
        "streak",
        anomaly_type="ConsecutiveFailures",
        severity="warning",
        metrics=Metrics(
            current_value=3, baseline_value=0, deviation=3, z_score=None, confidence=0.9, unit="runs", direction="up"
        ),
    ),
    "missed-run": missed("nightly"),
    "missed-run-late": came("nightly", minutes(32)),
    "missed-run-retired": came(
        "nightly",
        minutes(4320),
        end_reason="retired",
        description="nightly has not come since 2026-01-21 11:40 UTC: 3 runs in a row are missing. It is taken for "
        "retired: nothing more is reported until it runs",
    ),
    "still-running": running("nightly"),
    "still-running-critical": running("nightly", state="ongoing", severity="critical"),
    "still-running-over": running(
        "nightly",
        state="resolved",
        severity="info",
        end_reason="superseded",
        duration_s=1800.0,
        description="nightly was cancelled, 2 h 30 m after its start; it usually takes 40 m; limit 2 h",
    ),
    "excerpt": slow("excerpt", excerpt=f"started\n\n{NASTY}\n" + "\n".join(f"line {n} <b>&amp;" for n in range(7))),
    "score-alone": score_change(run_id=None, detected_at=ENDED),
    "nasty": slow("nasty", entity_name=NASTY, description=NASTY + "\nsecond line", investigation_steps=[NASTY]),
    "nasty-run": Run(run_id="a&b=/?#<x>", ended_at=ENDED, anomalies=(change("n", "7.5", "5.8", entity_name=NASTY),)),
}


def of_time() -> dict[str, Notifier]:
    """Notifiers whose last message is what only time makes: a digest, a group and its end, a reminder, a notice."""
    limited = Notifier(replace(CONFIG, rate_limit_count=1)).take(slow("first")).deliver()
    limited.take(slow("a"), slow("b", severity="warning", entity_name=NASTY), slow("c", incident="b", state="resolved"))
    given = {"labels": {"image": f"base:9 {NASTY}", "team": "ci"}, "profile": "robust"}
    route = Route(name="r", group_by=GROUP_BY, group_wait_s=1.0, group_interval_s=60.0, repeat_interval_s=3600.0)
    found = {"digest": limited.after(3600)}
    for name in ("group", "group-over", "reminder"):
        grouped = Notifier(replace(CONFIG, routes=(route,)))
        three = slow("a", **given), slow("b", entity_name=NASTY, severity="warning", **given), slow("c", **given)
        counts = LabelCounts("d", 80, {"image": 5, "team": 70})
        for number, one in enumerate(three):
            grouped.take(msgspec.structs.replace(one, execution_id=f"run-{number}"), counts=counts)
        grouped.after(1)
        if name == "group-over":
            ends = {"state": "resolved", "severity": "info", "duration_s": 725.0}
            grouped.take(*(slow(f"end {one}", incident=one, **ends) for one in "abc")).after(60)
        elif name == "reminder":
            grouped.after(3600)
        found[name] = grouped
    quiet = Notifier(replace(CONFIG, quiet_after_s={"scores": 60.0}))
    for _ in range(2):
        watch_topic(quiet.state, "scores", 1, quiet.now_s, quiet.config)
        quiet.after(60)
    return found | {"notice": quiet.deliver()} | of_sources()


def of_sources() -> dict[str, Notifier]:
    """Notifiers whose last message is about a source as a whole, or about ourselves not having looked."""
    found: dict[str, Notifier] = {}
    names = ["nightly", "weekly", NASTY, "docs", "release", "backup"]
    for name in ("missed-runs", "missed-runs-over", "silent-source", "silent-source-over"):
        notifier = found[name] = Watching(replace(CONFIG, rate_limit_count=100))
        notifier.take(*(missed(f"job-{n}", minutes(n), entity_name=one) for n, one in enumerate(names))).after(10)
        if name.startswith("silent"):
            notifier.know(census(scheduled=11, absent=6)).after(10)
        if name.endswith("over"):
            ends = [came(f"job-{n}", minutes(45), entity_name=one) for n, one in enumerate(names)]
            notifier.take(*ends[1:3]).after(60).take(*ends[3:]).after(60)
        if name == "silent-source-over":
            notifier.know(census(scheduled=11, absent=1, newest_min=45))
    away = found["away"] = Watching()
    take_away(away.state, away.now_s - 28_800, away.now_s, 31, away.now_s, away.now_s)
    away.after(60)
    return found


OF_TIME = of_time()


def shown(channel: str, name: str) -> str:
    if name in OF_TIME:
        sent = (one.message for one in reversed(OF_TIME[name].sent) if one.message.channel == channel)
        message = next(sent)
    else:
        message = message_about(channel, SUBJECTS[name], CONFIG, "00000000-0000-0000-0000-000000000001")
    parts = [f"title: {message.title}", f"link: {message.link}", "", message.text]
    if message.blocks:
        parts += ["", "--- blocks", json.dumps(message.blocks, indent=1, ensure_ascii=False)]
    if message.html:
        parts += ["", "--- html", message.html.rstrip("\n")]
    return "\n".join(parts) + "\n"


CASES = [(name, channel) for name in SUBJECTS for channel in ("inbox", "slack", "email")]
CASES += [(name, channel) for name in OF_TIME for channel in ("slack", "email")]


@pytest.mark.parametrize(("name", "channel"), CASES)
def test_w27_s29_message_is_the_golden_one(name: str, channel: str) -> None:
    file, text = GOLDEN / f"{name}.{channel}.txt", shown(channel, name)
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


def test_every_golden_file_is_used() -> None:
    wanted = {f"{name}.{channel}.txt" for name, channel in CASES}
    assert {file.name for file in GOLDEN.iterdir()} == wanted


def test_w27_every_message_has_every_fact() -> None:
    wanted = ["PerformanceDegradation", "critical", "nightly took 130 s", "130 s", "100 s", "+30 s", "3", "compile"]
    for channel in ("inbox", "slack", "email"):
        text = message_about(channel, slow(), CONFIG, "m").text
        assert [fact for fact in wanted if fact not in text] == []
        assert f"https://gvs.example.org/anomalies/{slow().id}" in text


def test_x24_an_excerpt_is_the_last_few_lines_each_cut_and_within_slacks_limit() -> None:
    long = slow(excerpt="\n".join(f"{n} " + "<&>" * 100 for n in range(30)), description="d" * 5_000)
    for channel in ("inbox", "slack", "email"):
        message = message_about(channel, long, CONFIG, "m")
        assert "29 &lt;" in message.text or "29 <&>" in message.text
        assert "\n  20 " not in message.text and "Details: https://gvs.example.org" in message.text
    assert len(message_about("slack", long, CONFIG, "m").text) <= 3_000


def test_s16_one_line_form_of_a_drop() -> None:
    assert message_about("slack", ONE, CONFIG, "m").text == "Lido: 7.5 → 5.8 (-1.7) ⚠️ SIGNIFICANT CHANGE"


def test_s16_s20_one_line_form_of_a_rise() -> None:
    run = replace(ONE, anomalies=(BALANCER,))
    assert message_about("slack", run, CONFIG, "m").text == "Balancer: 5.0 → 5.8 (+0.8) 📈 SIGNIFICANT CHANGE"


def test_s17_s18_s19_batch() -> None:
    assert message_about("slack", TWO, CONFIG, "m").text == (
        "⚠️ GVS Anomaly Alert\n"
        "\n"
        "Significant score changes detected:\n"
        "\n"
        "• Lido: 7.5 → 5.8 (-1.7) ⬇️\n"
        "• Balancer: 5.0 → 5.8 (+0.8) ⬆️\n"
        "\n"
        "Threshold: ±0.5 | Detected: 2026-01-22 00:05 UTC\n"
        "Dashboard: https://gvs.example.org/anomalies?run=2026-01-22"
    )


def test_s21_link_and_names_come_from_settings() -> None:
    config = replace(CONFIG, base_url="http://h:1/x", product_name="ACME", entity_word="Team")
    message = message_about("email", TWO, config, "m")
    assert message.link == "http://h:1/x/anomalies?run=2026-01-22"
    assert "⚠️ ACME Anomaly Alert" in message.text
    assert '<th align="left">Team</th>' in message.html
    assert "GVS" not in message.html + message.text and "DAO" not in message.html + message.text


def test_s23_s24_mail_has_the_table_with_drops_in_red() -> None:
    html = message_about("email", TWO, CONFIG, "m").html
    assert '<th align="left">DAO</th>\n<th align="right">Previous</th><th align="right">Current</th>' in html
    assert '<td>Lido</td><td align="right">7.5</td><td align="right">5.8</td>' in html
    assert '<td align="right" class="drop" style="color:#c62828">-1.7</td>' in html
    assert 'style="color:#1b7f3b">+0.8</td>' in html
    assert "Threshold: ±0.5" in html and ">View Dashboard</a>" in html


def test_s24_names_are_escaped() -> None:
    html = message_about("email", SUBJECTS["nasty-run"], CONFIG, "m").html
    assert "<b>x</b>" not in html and "&lt;b&gt;x&lt;/b&gt;" in html


@pytest.mark.parametrize("name", ["nasty", "nasty-run"])
@pytest.mark.parametrize("channel", ["inbox", "slack", "email"])
def test_no_message_holds_what_cannot_be_seen(name: str, channel: str) -> None:
    message = message_about(channel, SUBJECTS[name], CONFIG, "m")
    whole = message.title + message.text + message.html + json.dumps(message.blocks, ensure_ascii=False)
    assert not set(whole) & set("\r\x00\x1b\u202e\u2028")
    assert "\n" not in message.title
    if channel == "slack":
        sent = message.text + json.dumps(message.blocks, ensure_ascii=False)
        assert "<!" not in sent and "<@" not in sent
    assert "?run=a%26b%3D%2F%3F%23%3Cx%3E" in message.link or name == "nasty"


@pytest.mark.parametrize(
    ("given", "shown_as"),
    [
        ("Lido\u202e\u2066\u200f\u061c", "Lido"),
        ("L\u200bi\u00addo\ufeff\u2060", "Lido"),
        ("Li\U000e0044do\U000e0001", "Lido"),
        ("a\r\nb\tc\u2028d\u0085e\x00\x1b\x9b\ud800f", "a b c d ef"),
        ("👩\u200d🚒 می\u200cخواهم ≠ é", "👩\u200d🚒 می\u200cخواهم ≠ é"),
    ],
)
def test_what_cannot_be_seen_goes_and_what_can_be_stays(given: str, shown_as: str) -> None:
    assert one_line(given) == shown_as


@pytest.mark.parametrize(
    ("previous", "current", "text"),
    [
        ("7.5", "5.80", "7.50 → 5.80 (-1.70)"),
        ("7", "8", "7.0 → 8.0 (+1.0)"),
        ("7.123456", "5", "7.1235 → 5.0000 (-2.1235)"),
        ("7.7", "8.2", "7.7 → 8.2 (+0.5)"),
        ("1E+2", "5", "100.0 → 5.0 (-95.0)"),
        ("-0.5", "0.5", "-0.5 → 0.5 (+1.0)"),
    ],
)
def test_s18_as_many_decimals_as_the_longer_published_value(previous: str, current: str, text: str) -> None:
    run = replace(ONE, anomalies=(change("X", previous, current),))
    assert text in message_about("slack", run, CONFIG, "m").text


def test_s22_mail_holds_every_anomaly_and_slack_keeps_its_limits() -> None:
    many = tuple(change(f"Entity {number:04} & more", "7.5", f"{number / 1000 + 8:.4f}") for number in range(5_000))
    run = replace(ONE, anomalies=many)
    mail, slack = message_about("email", run, CONFIG, "m"), message_about("slack", run, CONFIG, "m")
    assert all(f"Entity {number:04} &amp; more<" in mail.html for number in range(5_000))
    assert mail.text.count("•") == 5_000
    lines = slack.text.splitlines()
    assert len(slack.text) <= 3_000 and len(slack.blocks) <= 50
    assert lines[4].startswith("• Entity 4999 &amp; more")
    shown = sum(line.startswith("• Entity") for line in lines)
    assert f"• … and {5_000 - shown:,} more on the dashboard" in lines
    assert lines[-1] == "Dashboard: https://gvs.example.org/anomalies?run=2026-01-22"


@pytest.mark.parametrize("text", ["x" * 10_000, "&" * 10_000, "<" * 10_000, "line\n" * 2_000])
def test_slack_keeps_its_limits_for_the_longest_alert(text: str) -> None:
    from tests.servers.slack import problem_with

    long = slow(entity_name=text[:512], description=text, investigation_steps=[text] * 40)
    for subject in (long, replace(ONE, anomalies=(change("n", "1", "2", entity_name=text[:512]),) * 3)):
        message = message_about("slack", subject, CONFIG, "m")
        assert problem_with({"text": message.text, "blocks": message.blocks}) == ""
        assert len(message.text) <= 3_000
        assert "example.org/anomalies" in message.text


def test_several_changes_of_a_minute_without_a_run_link_to_the_list_of_score_changes() -> None:
    minute = replace(TWO, run_id="window~dao~2026-01-22T00:05Z")
    assert (
        message_about("slack", minute, CONFIG, "m").link
        == "https://gvs.example.org/anomalies?type=SignificantScoreChange"
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "0.25 s"), (59.6, "1 m"), (725, "12 m 5 s"), (7200, "2 h"), (90_000, "1 d 1 h")]
)
def test_how_long_an_incident_lasted(seconds: float, words: str) -> None:
    end = slow("end", state="resolved", duration_s=seconds)
    assert f"Lasted: {words}\n" in message_about("email", end, CONFIG, "m").text
