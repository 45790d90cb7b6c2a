"""What is kept of a run's output, and which secrets are not."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_detector.detect.anomaly import build_anomaly
from stream_detector.detect.config import Config
from stream_detector.detect.finding import Finding
from stream_detector.events import RefusedError, State
from stream_detector.events.decode import decode_completion
from stream_detector.events.encode import encode
from stream_detector.events.examples import COMPLETION
from stream_detector.events.excerpt import EXCERPT_BYTES, TAIL_BYTES, excerpt_of, last_lines, mask_secrets

SECRET = "c0ffeeC0FFEEc0ffeeC0FFEEc0ffeeC0FFEEc0ffee"
LINES = [
    "Cloning https://ci:{}@git.example.org/app.git",
    "postgresql://app:p@ss-{}@db:5432/app is not reachable",
    "PGPASSWORD={} pg_dump app",
    "export AWS_SECRET_ACCESS_KEY={}",
    '{{"user": "app", "password": "{}"}}',
    '{{\\"password\\": \\"{}\\"}}',
    "db_password: '{} and more'",
    "client-secret => {}",
    "mysqldump --password {} app",
    "restic --repo-token={} backup",
    "> Authorization: Bearer {}",
    "curl -H 'authorization: Basic {}' https://api",
    "token used was Bearer {}",
    "Set-Cookie: session={}; Path=/",
    "AccountName=a;AccountKey={}==;EndpointSuffix=core",
    "https://a.blob.example.org/c?sv=2024&sig={}",
    "API_KEY={}",
    "access_token: {}",
    "https://hooks.slack.com/services/{}/B000/x",
    "curl -X POST https://watch.example.org/ping/sd_ping_{}/fail",
    "remote: ghp_{}",
    "glpat-{}",
    "xoxb-1-{}",
    "sk_live_{}",
    "npm_{}",
    "pypi-{}",
    "hvs.{0}{0}",
    "curl -fsS -u ci:{} https://api",
    "http --user=ci:{} https://api",
    "+ docker login -u ci -p {} registry.example.org",
    "mysql -h db -uapp -p{} app",
    "sshpass -p {} ssh app@db",
    "export DB_PASS='{}'",
    "https://acme.webhook.office.com/webhookb2/{}@1/IncomingWebhook/2/3",
    "eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}",
    "/run/secrets/password: {}",
]
HARMLESS = [
    "unexpected token: '}' in line 12",
    "password authentication failed for user app",
    "PWD=/home/ci/app",
    "http://registry:4873/@scope/pkg",
    "bearer of bad news",
    "Enter passphrase for key",
    "used tokens: 1234",
    "docker run -u 1000:1000 alpine",
    "tests_pass: 12, tests_fail: 0",
    "mysql -u app -P 3306 app",
    "login failed with -p: unknown option",
    "cat: /etc/passwd: Permission denied",
    "sh: 1: cannot open /run/secrets/api-key: No such file",
    "cp: cannot create regular file '/srv/credentials': Read-only file system",
    "tar: etc/ssl/private-key: Operation not permitted",
    "bash: ./check-password: command not found",
    "ls: ~/.vault/secret: Is a directory",
    "2026-01-22T00:05:00Z commit 9d3c1f2a4b5c6d7e8f90123456789abcdef01234",
]


@pytest.mark.parametrize("line", LINES)
def test_x24_a_secret_of_a_common_form_is_masked_and_the_line_stays(line: str) -> None:
    text = f"before\n{line.format(*[SECRET] * 2)}\nafter"
    masked = mask_secrets(text)
    assert SECRET not in masked and "***" in masked and masked.startswith("before\n") and masked.endswith("\nafter")
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize("line", HARMLESS)
def test_x24_what_is_no_secret_stays(line: str) -> None:
    assert mask_secrets(line) == line


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"])
def test_x24_an_access_key_of_aws_is_masked(key: str) -> None:
    assert mask_secrets(f"key {key}, {key}x") == f"key ***, {key}x"


BODY = [f"MIIEowIBAAKCAQEA{n:02}c0ffee+/c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee" for n in range(25)]


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_x24_a_private_key_is_masked_also_where_its_beginning_or_end_was_cut_off(kind: str) -> None:
    head, tail = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    for lines in (["cat key", head, *BODY, tail], ["cat key", *BODY, tail], ["cat key", head, *BODY]):
        masked = mask_secrets("\n".join([*lines, "done: 1"]))
        assert "c0ffee" not in masked and masked.startswith("cat key") and masked.endswith("done: 1")
    stamped = [f"12:00:01 {line}" for line in (head, *BODY, tail)]
    assert "c0ffee" not in mask_secrets("\n".join(stamped))
    assert "c0ffee" not in mask_secrets("KEY='" + "\\n".join([head, *BODY, tail]) + "'")


def test_x24_a_certificate_and_a_public_key_stay() -> None:
    text = "\n".join(["-----BEGIN CERTIFICATE-----", *BODY, "-----END CERTIFICATE-----"])
    assert mask_secrets(text) == text


def test_x24_an_excerpt_is_the_last_whole_lines_as_a_terminal_shows_them() -> None:
    assert excerpt_of(b"") is None and excerpt_of(b" \r\n\x00\n") is None
    assert (
        excerpt_of(b"10 %\r20 %\r100 %\r\n\x1b[1;31mdisk full\x1b[0m \x1b]0;title\x07\x00\r\n\n") == "100 %\ndisk full"
    )
    assert excerpt_of("Größe: ".encode() + b"\xff") == "Größe: �"
    long = excerpt_of(b"".join(b"line %d\n" % n for n in range(20_000)))
    assert long is not None and long.endswith("line 19999") and long.startswith("line ")
    assert EXCERPT_BYTES - 20 < len(long) <= EXCERPT_BYTES
    single = excerpt_of("é".encode() * 100_000)
    assert single is not None and set(single) == {"é"} and len(single.encode()) == EXCERPT_BYTES


def test_x24_a_secret_that_the_cut_would_halve_is_masked_before() -> None:
    padding = "x" * 61 + "\n"
    for shift in range(0, 400, 7):
        output = f"PASSWORD={SECRET}\n" * 400 + padding * 158 + "y" * shift
        kept = excerpt_of(output.encode()[-TAIL_BYTES:])
        assert kept is not None and SECRET[-8:] not in kept


@given(st.binary(max_size=3_000))
def test_x24_any_output_gives_an_excerpt_that_the_contract_accepts(output: bytes) -> None:
    excerpt = excerpt_of(output)
    if excerpt is not None:
        event = msgspec.structs.replace(COMPLETION, excerpt=excerpt)
        assert decode_completion(encode(event), (), 0).excerpt is not None


@given(st.text(alphabet="pasword=:token -'\"\n\\bearer@/1A.", max_size=400))
def test_x24_masking_twice_changes_nothing(text: str) -> None:
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)


def test_x24_an_excerpt_from_a_topic_is_masked_before_it_is_stored_or_sent() -> None:
    value = json.dumps(json.loads(encode(COMPLETION)) | {"excerpt": f"PASSWORD={SECRET}"}).encode()
    assert decode_completion(value, (), 0).excerpt == "PASSWORD=***"
    with pytest.raises(RefusedError, match="excerpt") as refused:
        decode_completion(json.dumps(json.loads(value) | {"excerpt": "x" * 10_001}).encode(), (), 0)
    assert refused.value.reason == "too_long"
    without = {name: each for name, each in json.loads(value).items() if name != "excerpt"}
    assert decode_completion(json.dumps(without).encode(), (), 0).excerpt is None


def test_x24_an_anomaly_has_the_last_lines_and_its_end_has_none() -> None:
    finding = Finding(
        detector="consecutive_failures", anomaly_type="ConsecutiveFailures", severity="warning", description="d",
        current=3, baseline=0, deviation=3, z=None, confidence=0.9, unit="runs", direction="up", gates=[],
    )  # fmt: skip
    event = msgspec.structs.replace(COMPLETION, excerpt="\n".join(f"line {n}" for n in range(1_000)))
    states: tuple[State, ...] = "opened", "ongoing", "resolved"
    for state in states:
        made = build_anomaly(
            finding, event, Config(), own_id="a", incident_id="a", state=state, steps=[],
        )  # fmt: skip
        if state == "resolved":
            assert made.excerpt is None
        else:
            assert made.excerpt is not None and len(made.excerpt) <= 1_000 and made.excerpt.endswith("\nline 999")
    assert last_lines("", 10) == "" and last_lines("\n\n") == ""


def test_x24_what_a_terminal_shows_in_the_end_is_kept() -> None:
    for written, shown in (
        (b"\x1b(B\x1b[mdone\x1b7\x1b8\x1b=", "done"),
        (b"\x1b]8;;https://h/\x1b\\link\x1b]8;;\x07 \x1bPq#0\x1b\\end", "link end"),
        (b"10%\r\x1b[K20%\r\x1b[2K100%\n", "100%"),
        (b"start\na 1\nb 1\n\x1b[2A\x1b[2Ka 2\n\x1b[2Kb 2\n\x1b[A\x1b[Fa 3\nb 3\nend", "start\na 3\nb 3\nend"),
        (b"wait |\b/\b-\b\\\b done", "wait  done"),
        (b"b\bbo\bol\bld", "bold"),
        (b"\x1b[99A\x1b[9999Aonly", "only"),
        (b"\b\b\bx\x1b", "x"),
    ):
        assert excerpt_of(written) == shown, written
    assert excerpt_of(b"\x1b[A" * 20_000 + b"x\b" * 5_000 + b"y\n") is not None
