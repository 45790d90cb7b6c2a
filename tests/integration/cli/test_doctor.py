"""`doctor` and `setup` as commands, against a real broker and a real database."""

import json
import os
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaProducer

from stream_detector.kafka.client import client_options
from stream_detector.kafka.topics import BASELINES, COMPLETIONS, TOPICS
from stream_detector.settings import PREFIX


def call(settings, *words, **more):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name in ("broker", "database_url", "topic_prefix"):
        environ[PREFIX + name.upper()] = getattr(settings, name)
    command = [sys.executable, "-m", "stream_detector", *words]
    return subprocess.run(command, env=environ | more, capture_output=True, text=True)


def lines_of(done):
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture
def settings(broker, postgres_url, make_settings):
    return make_settings(broker=broker.address, database_url=postgres_url)


def test_doctor_names_what_is_missing_and_setup_makes_it(settings):
    done = call(settings, "doctor", "--json")
    assert done.returncode == 1
    lines = lines_of(done)
    assert lines["broker"]["ok"]
    assert lines[f"topic {settings.topic(COMPLETIONS)}"]["advice"] == "run `stream-detector setup`"
    assert lines["tables"]["advice"] == "run `stream-detector setup`"

    dry = json.loads(call(settings, "setup", "--dry-run", "--json").stdout)
    assert dry["topics"] == [settings.topic(topic.name) for topic in TOPICS]
    assert not lines_of(call(settings, "doctor", "--json"))["tables"]["ok"], "a dry run makes nothing"
    made = json.loads(call(settings, "setup", "--json").stdout)
    assert made == dry | {"dry_run": False}
    again = json.loads(call(settings, "setup", "--json").stdout)
    assert again == {"topics": [], "migrations": [], "dry_run": False}

    done = call(settings, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    lines = lines_of(done)
    assert lines["topics"]["found"] == f"{len(TOPICS)} topics are configured correctly"
    assert lines["clock"]["ok"]
    assert call(settings, "doctor").stdout.startswith("ok    broker: ")


async def test_doctor_says_which_role_to_start(settings):
    assert call(settings, "setup").returncode == 0
    producer = AIOKafkaProducer(**client_options(settings))
    await producer.start()
    await producer.send_and_wait(settings.topic(COMPLETIONS), b"{}")
    await producer.stop()
    lines = lines_of(call(settings, "doctor", "--json"))
    assert lines["detector"]["found"] == "no committed offsets, consumer lag 1 (workflow-completions 1)"
    assert lines["detector"]["advice"] == "start it: stream-detector detector"
    assert lines["notifier"]["ok"]


def test_doctor_refuses_half_a_mail_setting(settings):
    done = call(settings, "doctor", "--json", STREAM_DETECTOR_SMTP_URL="smtp://127.0.0.1:25")
    assert lines_of(done)["email"]["advice"] == (
        "set STREAM_DETECTOR_EMAIL_FROM and STREAM_DETECTOR_EMAIL_TO; until then nothing is sent"
    )


def test_doctor_shows_no_password(settings):
    done = call(settings, "doctor", STREAM_DETECTOR_DATABASE_URL="postgresql://me:geheim@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "127.0.0.1:1/x does not answer" in done.stdout
    assert "geheim" not in done.stdout + done.stderr


def test_setup_makes_12_partitions_and_refuses_others_in_words(settings):
    """An input topic may have any number, so it is not among what is refused."""
    done = call(settings, "setup")
    assert done.returncode == 0 and "partitions: 12 by default" in done.stdout
    done = call(settings, "setup", "--partitions", "5")
    assert done.returncode == 1
    assert f"{settings.topic(BASELINES)} has 12 partitions and should have 5" in done.stderr
    assert settings.topic(COMPLETIONS) not in done.stderr
    assert call(settings, "setup").returncode == 0, "without a number that of the topics holds"
    done = call(settings, "setup", "--repartition", "24", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert (found["before"], found["after"], found["moved"]) == (12, 24, {"baselines": 0, "runs-state": 0})
    done = call(settings, "setup", "--repartition", "6")
    assert done.returncode == 1 and "at least --repartition 12" in done.stderr
