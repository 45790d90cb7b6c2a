"""The only reader of the environment: every setting's name, default, unit, check and documentation, in one place.

Sources in rising order: defaults, a TOML file (`--config` or `STREAM_DETECTOR_CONFIG`), the environment, flags. Each
secret may come from a file named by `<NAME>_FILE`. A wrong value stops the start: `SettingsError` names the setting,
the value (secrets hidden) and what is allowed.
"""

import contextlib
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from stream_detector.database_url import parse_database_url
from stream_detector.events.inputs import INPUT_TOPICS
from stream_detector.timing_rules import expect_rules, max_duration_rules

PREFIX = "STREAM_DETECTOR_"
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class SettingsError(Exception):
    """A setting cannot be used. The command line prints it and exits with 2."""

    def __init__(self, name: str, shown: str, allowed: str) -> None:
        super().__init__(f"{name}={shown}: {allowed}")
        self.name = name


def _text(raw: str) -> str:
    return raw


def _flag(raw: str) -> bool:
    word = raw.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError("must be true or false")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", raw.strip()) or not low <= int(raw) <= high:
            raise ValueError(f"must be an integer from {low} to {high}")
        return int(raw)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return parse


def _positive_decimal(raw: str) -> Decimal:
    try:
        value = Decimal(raw.strip())
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 0 < value <= Decimal("1e12"):
        raise ValueError("must be a positive, finite number, for example 0.5")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.strip().lower() not in words:
            raise ValueError("must be one of " + ", ".join(words))
        return raw.strip().lower()

    return parse


def _profile_rules(raw: str) -> str:
    """Checked here by its form alone; detect reads it."""
    for rule in filter(str.strip, raw.split(",")):
        if not re.fullmatch(r"\s*[^\s=>][^=>]*(=[^=>]+)?->\s*(classic|robust)\s*", rule):
            raise ValueError("must be PATTERN -> PROFILE or LABEL=PATTERN -> PROFILE, comma-separated")
    return raw.strip()


def _score_threshold_rules(raw: str) -> str:
    """Checked here by its form alone; detect reads it."""
    for rule in filter(str.strip, raw.split(",")):
        match = re.fullmatch(r"\s*(?:type\s*=\s*)?[^\s=>][^=>]*->\s*(\d+(?:\.\d+)?|\.\d+)\s*%?\s*", rule)
        if not match or not 0 < Decimal(match[1]) <= Decimal("1e12"):
            raise ValueError(
                "must be type=PATTERN -> NUMBER or ENTITY_ID_PATTERN -> NUMBER, comma-separated; NUMBER is "
                "positive, in points or, with %, in percent of the previous score"
            )
    return raw.strip()


def _max_duration_rules(raw: str) -> str:
    max_duration_rules(raw)
    return raw.strip()


def _expect_rules(raw: str) -> str:
    expect_rules(raw)
    return raw.strip()


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        wrong = ValueError("must be a URL with scheme " + " or ".join(schemes))
        try:
            parts = urlsplit(raw.strip())
        except ValueError:  # its text has what may be a password
            raise wrong from None
        if raw and (parts.scheme not in schemes or not (parts.netloc or parts.path or parts.query)):
            raise wrong
        return raw.strip()

    return parse


def _database_url(raw: str) -> str:
    if raw.strip():
        parse_database_url(raw)
    return raw.strip()


def _addresses(raw: str) -> str:
    """host:port, several separated by commas."""
    for address in filter(None, raw.split(",")):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, comma-separated if several")
    return raw.replace(" ", "")


def _prefix(raw: str) -> str:
    if raw and not re.fullmatch(r"[a-zA-Z0-9._-]{1,80}", raw):
        raise ValueError("may contain letters, digits, dots, underscores and hyphens, at most 80 characters")
    return raw


def _quiet_after(raw: str) -> str:
    """topic=seconds, several separated by commas."""
    for pair in filter(None, (part.strip() for part in raw.split(","))):
        topic, _, seconds = pair.partition("=")
        if topic.strip() not in INPUT_TOPICS.values() or not re.fullmatch(r"\s*[1-9]\d{0,7}\s*", seconds):
            raise ValueError(
                "must be topic=seconds, comma-separated if several, for example workflow-completions=3600,scores=90000"
            )
    return raw


def _probe_urls(raw: str) -> str:
    """role=URL, several separated by commas."""
    for pair in filter(None, (part.strip() for part in raw.split(","))):
        role, _, url = pair.partition("=")
        if role.strip() not in ("detector", "recorder", "notifier") or urlsplit(url.strip()).scheme not in (
            "http",
            "https",
        ):
            raise ValueError("must be ROLE=URL, comma-separated, for example detector=http://127.0.0.1:9101")
    return raw.replace(" ", "")


def _names(raw: str) -> str:
    """Names separated by commas, or none."""
    names = [name.strip() for name in raw.split(",")]
    if not all(names) or (len(names) > 1 and "none" in names):
        raise ValueError("must be comma-separated names, for example build,commit,step,*; or none")
    return ",".join(names)


def _secret_key(raw: str) -> str:
    if raw and len(raw.encode()) < 32:
        raise ValueError("must have at least 32 bytes")
    return raw


def setting(
    default: Any,
    parse: Callable[[str], Any],
    doc: str,
    *,
    unit: str = "",
    secret: bool = False,
    aliases: tuple[str, ...] = (),
    group: str = "General",
) -> Any:
    """Declare one setting: what it is called comes from the field's name."""
    return field(
        default=default,
        repr=not secret,
        metadata={"parse": parse, "doc": doc, "unit": unit, "secret": secret, "aliases": aliases, "group": group},
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting in force. `origin` has the source of each: default, file, environment or flag."""

    broker: str = setting("", _addresses, "Kafka bootstrap servers, host:port; if empty, `up` starts the embedded broker", group="Kafka")  # fmt: skip
    broker_security: str = setting("plaintext", _one_of("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"), "Security protocol of the Kafka connection", group="Kafka")  # fmt: skip
    broker_sasl_mechanism: str = setting("scram-sha-512", _one_of("plain", "scram-sha-256", "scram-sha-512"), "SASL mechanism", group="Kafka")  # fmt: skip
    broker_user: str = setting("", _text, "SASL user", group="Kafka")
    broker_password: str = setting("", _text, "SASL password", secret=True, group="Kafka")
    broker_ca_file: str = setting("", _text, "PEM file of the CA that signed the broker's certificate; if empty, the system's CAs", group="Kafka")  # fmt: skip
    topic_prefix: str = setting("", _prefix, "Prefix of all topic and consumer group names", group="Kafka")
    partitions: int = setting(4, _integer(1, 1000), "Number of partitions of the topics that `setup` creates; a key is owned by its partition of `baselines`. If not set, the number of the existing topics, and 12 for new ones on a broker that `up` did not start", group="Kafka")  # fmt: skip
    replication: int = setting(0, _integer(0, 9), "Replication factor of the topics; 0 means 3 with three or more brokers, else 1", group="Kafka")  # fmt: skip
    group_instance_id: str = setting("", _prefix, "Enables static group membership: a name that is unique in the group and stays the same across restarts; if empty, membership is dynamic (trade-offs: docs/operations.md)", group="Kafka")  # fmt: skip
    session_timeout_s: float = setting(10.0, _number(6, 300), "Consumer group session timeout: a worker without heartbeats for this long loses its partitions", unit="s", group="Kafka")  # fmt: skip
    stalled_after_s: float = setting(90.0, _number(5, 3600), "A worker exits, to be restarted, when a partition with unread records makes no progress for this long", unit="s", group="Kafka")  # fmt: skip
    checkpoint_interval_s: float = setting(1.0, _number(0.05, 60), "Interval between checkpoints", unit="s", group="Kafka")  # fmt: skip
    run_end_wait_s: float = setting(60.0, _number(1, 3600), "A score run that has completed or timed out waits for the scores published before; where their processing makes no progress for this long, the run is closed and its summary names what is missing", unit="s", group="Detection")  # fmt: skip
    database_url: str = setting("", _database_url, "PostgreSQL URL; if empty, `up` starts the embedded PostgreSQL", secret=True, group="Database")  # fmt: skip
    data_dir: str = setting("", _text, "Directory of the embedded broker and database and of generated secrets; if empty, $XDG_DATA_HOME/stream-detector or ~/.local/share/stream-detector", group="General")  # fmt: skip
    mappings_dir: str = setting("", _text, "Directory of mappings (NAME.toml) for webhooks at /api/v1/webhooks/NAME and for topics with the header `source: NAME`; read when a role starts, the same for all roles", group="General")  # fmt: skip
    profile: str = setting(
        "robust",
        _one_of("classic", "robust"),
        "Detection profile: robust learns its thresholds, classic has fixed ones (docs/detection.md)",
        group="Detection",
    )
    profile_rules: str = setting("", _profile_rules, "Profiles of individual workflows, by id or label: `deploy-* -> classic, team=core -> robust`; the first match wins", group="Detection")  # fmt: skip
    score_threshold: Decimal = setting(Decimal("0.5"), _positive_decimal, "A score change of at least this much is an anomaly", unit="points", aliases=("GVS_ANOMALY_THRESHOLD",), group="Detection")  # fmt: skip
    score_threshold_rules: str = setting("", _score_threshold_rules, "Thresholds of individual scores, by entity type or id: `type=dao -> 5 %, poll-* -> 1.0`; a percentage is of the previous score; the first match wins; scores without a match have SCORE_THRESHOLD", group="Detection")  # fmt: skip
    duration_from_times: bool = setting(True, _flag, "An execution without `duration_s` took `finished_at - started_at`; off: its duration is not recorded, as in earlier versions", group="Detection")  # fmt: skip
    variant_by: str = setting("none", _names, "Labels whose values give the variant of an execution that has no field `variant`, comma-separated, for example trigger: each variant of a workflow has its own baseline; or none", group="Detection")  # fmt: skip
    clock: str = setting("auto", _one_of("auto", "on", "off"), "Detect runs that did not come and executions that run for too long without an end (docs/timing.md): on, off, or auto (on in profile robust)", group="Detection")  # fmt: skip
    max_duration_rules: str = setting("", _max_duration_rules, "How long individual workflows may run, by id or label: `nightly-* -> 90 min, team=core -> off`; off: any time; the first match wins; workflows without a match have a learned limit", group="Detection")  # fmt: skip
    expect_rules: str = setting("", _expect_rules, "When runs of individual workflows are expected, by id or label: `backup -> every 24h, nightly-* -> weekdays 02:00 Europe/Berlin grace 20m, report -> 0 6 1 * * Europe/Berlin, adhoc-* -> off`; the first match wins; workflows without a match have learned times (docs/timing.md)", group="Detection")  # fmt: skip
    single_run_keys: int = setting(100_000, _integer(1, 100_000_000), "A detector with more workflows than this that have run once drops the baselines of those that have been quiet for longest, at least 35 days; beyond ten times this also younger ones. Their executions stay", group="Detection")  # fmt: skip
    base_url: str = setting("http://127.0.0.1:8080", _url("http", "https"), "Public URL of the dashboard, used for links in messages", aliases=("NEXT_PUBLIC_BASE_URL",), group="Notifications")  # fmt: skip
    api_host: str = setting("127.0.0.1", _text, "Listen address of the API; any other than loopback requires API_TOKEN", group="API")  # fmt: skip
    api_port: int = setting(8080, _integer(0, 65535), "Port of the API and the dashboard; 0 selects a free port", group="API")  # fmt: skip
    api_local_session: str = setting("auto", _one_of("auto", "on", "off"), "Sign in browsers on this machine automatically as operator, if they run as the same user as the API and connect over loopback: on, off, or auto (on under `up`). Linux only; on other systems use the one-time link", group="API")  # fmt: skip
    api_token: str = setting("", _text, "An additional bearer token with the operator role, independent of those created by `token create`", secret=True, group="API")  # fmt: skip
    api_allowed_hosts: str = setting("", _text, "Host names that the API accepts besides loopback and the host of BASE_URL, comma-separated; others get 403", group="API")  # fmt: skip
    api_behind_proxy: bool = setting(False, _flag, "The API is behind a trusted proxy: use its X-Forwarded-Host, X-Forwarded-Proto and the last address of X-Forwarded-For", group="API")  # fmt: skip
    api_max_connections: int = setting(512, _integer(16, 100_000), "Connections to the API at once; a further one takes the place of one that waits for a request, or is refused with 503", group="API")  # fmt: skip
    api_max_connections_per_source: int = setting(256, _integer(4, 100_000), "Of these, connections of one address (IPv6: of one /64 network); not applied behind a trusted proxy", group="API")  # fmt: skip
    intake_rate_limit: int = setting(1000, _integer(1, 1_000_000), "Events per second that one token may send to the API; the burst limit is ten times this", unit="1/s", group="API")  # fmt: skip
    github_webhook_secret: str = setting("", _text, "Secret of the GitHub webhook; if empty, /api/v1/webhooks/github is disabled", secret=True, group="API")  # fmt: skip
    gitlab_webhook_token: str = setting("", _text, "Secret token of the GitLab webhook; if empty, /api/v1/webhooks/gitlab is disabled", secret=True, group="API")  # fmt: skip
    jenkins_webhook_password: str = setting("", _text, "Password of the Jenkins webhook (basic authentication); if empty, /api/v1/webhooks/jenkins is disabled", secret=True, group="API")  # fmt: skip
    circleci_webhook_secret: str = setting("", _text, "Secret of the CircleCI webhook; if empty, /api/v1/webhooks/circleci is disabled", secret=True, group="API")  # fmt: skip
    azure_webhook_password: str = setting("", _text, "Password of the Azure DevOps service hook (basic authentication); if empty, /api/v1/webhooks/azure is disabled", secret=True, group="API")  # fmt: skip
    airflow_webhook_token: str = setting("", _text, "Token of the Airflow webhook; if empty, /api/v1/webhooks/airflow is disabled", secret=True, group="API")  # fmt: skip
    openlineage_webhook_token: str = setting("", _text, "Token of the OpenLineage webhook; if empty, /api/v1/webhooks/openlineage is disabled", secret=True, group="API")  # fmt: skip
    dbt_webhook_token: str = setting("", _text, "Token of the dbt webhook; if empty, /api/v1/webhooks/dbt is disabled", secret=True, group="API")  # fmt: skip
    buildkite_webhook_token: str = setting("", _text, "Token of the Buildkite webhook; if empty, /api/v1/webhooks/buildkite is disabled", secret=True, group="API")  # fmt: skip
    cdevents_webhook_token: str = setting("", _text, "Token of the CDEvents webhook; if empty, /api/v1/webhooks/cdevents is disabled", secret=True, group="API")  # fmt: skip
    junit_webhook_token: str = setting("", _text, "Token of the webhook for JUnit reports; if empty, /api/v1/webhooks/junit is disabled", secret=True, group="API")  # fmt: skip
    bitbucket_webhook_secret: str = setting("", _text, "Secret of the Bitbucket webhook; if empty, /api/v1/webhooks/bitbucket is disabled", secret=True, group="API")  # fmt: skip
    teamcity_webhook_password: str = setting("", _text, "Password of the TeamCity webhook (basic authentication); if empty, /api/v1/webhooks/teamcity is disabled", secret=True, group="API")  # fmt: skip
    tekton_webhook_password: str = setting("", _text, "Password of the Tekton webhook (basic authentication); if empty, /api/v1/webhooks/tekton is disabled", secret=True, group="API")  # fmt: skip
    argo_webhook_token: str = setting("", _text, "Token of the Argo Workflows webhook; if empty, /api/v1/webhooks/argo is disabled", secret=True, group="API")  # fmt: skip
    otel_webhook_token: str = setting("", _text, "Token of the webhook for OpenTelemetry spans; if empty, /api/v1/webhooks/otel is disabled", secret=True, group="API")  # fmt: skip
    secret_key: str = setting(
        "", _secret_key, "Key that signs links and sessions; at least 32 bytes", secret=True, group="API"
    )
    metrics_host: str = setting("127.0.0.1", _text, "Listen address of /metrics, /livez and /readyz", group="Metrics")
    metrics_port: int = setting(0, _integer(0, 65535), "Port of /metrics, /livez and /readyz; 0 means 9101 detector, 9102 recorder, 9103 notifier, 9104 api", group="Metrics")  # fmt: skip
    probe_urls: str = setting("", _probe_urls, "Metrics addresses of detector, recorder and notifier, ROLE=URL, comma-separated; health then also asks their /readyz. `up` sets it", group="Metrics")  # fmt: skip
    inbox_enabled: bool = setting(
        True, _flag, "Deliver every alert to the inbox of the dashboard", group="Notifications"
    )
    slack_enabled: bool = setting(True, _flag, "Send to Slack if SLACK_WEBHOOK_URL is set", group="Notifications")
    email_enabled: bool = setting(True, _flag, "Send email if SMTP_URL, EMAIL_FROM and EMAIL_TO are set", group="Notifications")  # fmt: skip
    slack_webhook_url: str = setting("", _url("https", "http"), "URL of the Slack incoming webhook", secret=True, aliases=("SLACK_WEBHOOK_URL",), group="Notifications")  # fmt: skip
    smtp_url: str = setting("", _url("smtp", "smtps"), "Mail server: smtp://user:password@host:587 (STARTTLS if offered) or smtps://", secret=True, group="Notifications")  # fmt: skip
    smtp_ca_file: str = setting("", _text, "PEM file of the CA that signed the mail server's certificate; if empty, the system's CAs", group="Notifications")  # fmt: skip
    email_from: str = setting("", _text, "Sender address of emails", group="Notifications")
    email_to: str = setting("", _text, "Recipient addresses of emails, comma-separated", group="Notifications")
    notify_severity: str = setting("warning", _one_of("info", "warning", "critical"), "Minimum severity of notifications; all anomalies are stored and shown", group="Notifications")  # fmt: skip
    rate_limit_count: int = setting(5, _integer(1, 100_000), "Maximum number of messages per channel within the rate limit window", group="Notifications")  # fmt: skip
    rate_limit_window_s: float = setting(3600.0, _number(1, 31 * 86400), "Rate limit window", unit="s", group="Notifications")  # fmt: skip
    group_by: str = setting("execution,build,commit,step,*", _names, "Group anomalies that open together and share one of these into one message: execution, step, workflow, a label name, * for every label; or none", group="Notifications")  # fmt: skip
    group_wait_s: float = setting(2.0, _number(0, 31 * 86400), "How long to wait before sending the first notification of a group", unit="s", group="Notifications")  # fmt: skip
    notify_max_age_s: float = setting(86_400.0, _number(0, 31 * 86400), "Events published later than this after they happened (a backfill) are stored and shown, and notified in one message per channel and hour; 0: notify them like any other", unit="s", group="Notifications")  # fmt: skip
    group_interval_s: float = setting(60.0, _number(0, 31 * 86400), "Minimum time between two notifications of a group or incident", unit="s", group="Notifications")  # fmt: skip
    routes_file: str = setting("", _text, "TOML file of notification routes; if empty, everything is sent to every channel", group="Notifications")  # fmt: skip
    slack_bot_enabled: bool = setting(True, _flag, "Send with the Slack bot if its token and channel are set", group="Notifications")  # fmt: skip
    slack_bot_token: str = setting("", _text, "Slack bot token (xoxb-…) with scope chat:write; one message per incident, updated while it is open", secret=True, group="Notifications")  # fmt: skip
    slack_bot_channel: str = setting(
        "", _text, "Slack channel that the bot posts to, preferably its id", group="Notifications"
    )
    slack_api_url: str = setting("https://slack.com/api/", _url("https", "http"), "Base URL of the Slack API", group="Notifications")  # fmt: skip
    webhook_enabled: bool = setting(True, _flag, "Post to WEBHOOK_URL if it and WEBHOOK_SECRET are set", group="Notifications")  # fmt: skip
    webhook_url: str = setting("", _url("https", "http"), "URL that receives every message as signed JSON", secret=True, group="Notifications")  # fmt: skip
    webhook_secret: str = setting("", _secret_key, "Key that signs requests to WEBHOOK_URL (HMAC-SHA256); at least 32 bytes", secret=True, group="Notifications")  # fmt: skip
    apprise_enabled: bool = setting(True, _flag, "Send with Apprise if APPRISE_URLS is set", group="Notifications")
    apprise_urls: str = setting("", _text, "Apprise service URLs, separated by spaces; requires the extra `apprise`", secret=True, group="Notifications")  # fmt: skip
    quiet_after: str = setting("", _quiet_after, "Notify when an input topic has no events for this many seconds, for example workflow-completions=3600,scores=90000", group="Notifications")  # fmt: skip
    product_name: str = setting("GVS", _text, "Product name in message headings", group="Notifications")
    entity_word: str = setting("DAO", _text, "Term for a scored entity in messages", group="Notifications")
    executions_retention_d: int = setting(90, _integer(30, 3650), "Retention of executions and scores", unit="d", group="Database")  # fmt: skip
    anomalies_retention_d: int = setting(365, _integer(1, 36500), "Retention of anomalies", unit="d", group="Database")  # fmt: skip
    starts_file: str = setting("", _text, "Set by `up`, whose embedded broker keeps nothing with an offset: the file in which a role counts its starts at the same offset; if empty, they are counted on the broker", group="General")  # fmt: skip
    fault_point: str = setting("", _text, "For drills only: kill this process at a point of the checkpoint, for example changelog-half:2", group="General")  # fmt: skip
    log_format: str = setting("text", _one_of("text", "json"), "Format of log lines: text or JSON", group="General")  # fmt: skip
    log_level: str = setting("info", _one_of("debug", "info", "warning", "error"), "Minimum log level", group="General")  # fmt: skip
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)

    def topic(self, name: str) -> str:
        """The topic's name on the broker."""
        return self.topic_prefix + name

    def group(self, role: str) -> str:
        """The role's consumer group."""
        return f"{self.topic_prefix}stream-detector.{role}"

    @property
    def data_path(self) -> Path:
        """DATA_DIR, or the user's own data folder."""
        if self.data_dir:
            return Path(self.data_dir).expanduser().absolute()
        home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(home).expanduser() / "stream-detector"

    @property
    def probes(self) -> dict[str, str]:
        """Role -> base URL of its metrics port."""
        pairs = (pair.partition("=") for pair in self.probe_urls.split(",") if pair)
        return {role: url for role, _, url in pairs}

    def has_set(self, name: str) -> bool:
        """Whether somebody chose the value: it is not the default, or it was given all the same."""
        return bool(self.origin.get(name, "default") != "default" or getattr(self, name) != _DEFAULTS[name])

    def shown(self, name: str) -> str:
        """The value for people: a secret shows only whether it is set."""
        value = getattr(self, name)
        if SPECS[name]["secret"]:
            return "(set)" if value else "(not set)"
        return str(value).lower() if isinstance(value, bool) else str(value)


USED_BY: Mapping[str, frozenset[str]] = {
    "broker_password": frozenset({"detector", "recorder", "notifier", "api"}),
    "database_url": frozenset({"recorder", "api"}),
    "api_token": frozenset({"api"}),
    "secret_key": frozenset({"notifier", "api"}),
    "github_webhook_secret": frozenset({"api"}),
    "gitlab_webhook_token": frozenset({"api"}),
    "jenkins_webhook_password": frozenset({"api"}),
    "circleci_webhook_secret": frozenset({"api"}),
    "azure_webhook_password": frozenset({"api"}),
    "airflow_webhook_token": frozenset({"api"}),
    "openlineage_webhook_token": frozenset({"api"}),
    "dbt_webhook_token": frozenset({"api"}),
    "buildkite_webhook_token": frozenset({"api"}),
    "cdevents_webhook_token": frozenset({"api"}),
    "junit_webhook_token": frozenset({"api"}),
    "bitbucket_webhook_secret": frozenset({"api"}),
    "teamcity_webhook_password": frozenset({"api"}),
    "tekton_webhook_password": frozenset({"api"}),
    "argo_webhook_token": frozenset({"api"}),
    "otel_webhook_token": frozenset({"api"}),
    "slack_webhook_url": frozenset({"notifier"}),
    "slack_bot_token": frozenset({"notifier"}),
    "webhook_url": frozenset({"notifier"}),
    "webhook_secret": frozenset({"notifier"}),
    "apprise_urls": frozenset({"notifier"}),
    "smtp_url": frozenset({"notifier"}),
}
"""Secret setting -> the roles that use its value; docs/security.md shows it."""
_STAND_INS = ("set, and its value is not given to this role", "https://set.invalid", "smtp://set.invalid")

SPECS: dict[str, Mapping[str, Any]] = {f.name: f.metadata for f in fields(Settings) if f.metadata}
_DEFAULTS = {f.name: f.default for f in fields(Settings)}
Origin = Literal["default", "file", "environment", "flag"]


def load(
    environ: Mapping[str, str] = os.environ,
    *,
    flags: Mapping[str, Any] | None = None,
    config: str | None = None,
) -> Settings:
    """Read every setting. Raises `SettingsError` for the first one that cannot be used.

    Args:
        environ: the process environment.
        flags: field name -> text from the command line; None values are left out.
        config: path of the TOML file, else `STREAM_DETECTOR_CONFIG`.
    """
    path = config or environ.get(PREFIX + "CONFIG")
    file = _read_file(path) if path else {}
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, spec in SPECS.items():
        label, raw = PREFIX + name.upper(), None
        if name in file:
            raw, origin[name] = str(file[name]), "file"
        found = _from_environment(name, spec, environ)
        if found:
            (label, raw), origin[name] = found, "environment"
        if flags and flags.get(name) is not None:
            label, raw, origin[name] = "--" + name.replace("_", "-"), str(flags[name]), "flag"
        if raw is None:
            origin[name] = "default"
            continue
        try:
            values[name] = spec["parse"](raw)
        except ValueError as error:
            raise SettingsError(label, "(hidden)" if spec["secret"] else repr(raw), str(error)) from None
    return Settings(**values, origin=origin)


def environ_of(settings: Settings, environ: Mapping[str, str] = os.environ, *, role: str = "") -> dict[str, str]:
    """The environment of a child process that must read the same settings: `load(environ_of(s)) == s`.

    Whatever set them for us (file, alias, flag) is left out, so that nothing can disagree.

    Args:
        role: the child is this role, which gets the secrets that it uses alone. The API, which shows whether a channel
            has its settings, gets something in the place of the others; empty: it gets all.
    """
    ours = {PREFIX + "CONFIG"} | {PREFIX + name.upper() for name in SPECS}
    ours |= {alias for spec in SPECS.values() for alias in spec["aliases"]}
    ours |= {name + "_FILE" for name in ours}
    child = {name: value for name, value in environ.items() if name not in ours}
    for name in SPECS:
        if name == "partitions" and not settings.has_set(name):
            continue  # where nobody chose a number, that of the topics holds
        value = getattr(settings, name)
        if role and value and role not in USED_BY.get(name, {role}):
            value = _stand_in(name) if role == "api" else ""
        child[PREFIX + name.upper()] = str(value).lower() if isinstance(value, bool) else str(value)
    return child


def _stand_in(name: str) -> str:
    """A value that is none, and can be read as one."""
    for value in _STAND_INS:
        with contextlib.suppress(ValueError):
            return str(SPECS[name]["parse"](value))
    return ""


def _read_file(path: str) -> dict[str, Any]:
    try:
        file = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(PREFIX + "CONFIG", repr(path), f"cannot be read as TOML: {error}") from None
    for name in file:
        if name not in SPECS:
            # A text may be a secret under a misspelled name.
            shown = "(hidden)" if isinstance(file[name], str) else repr(file[name])
            raise SettingsError(f"{name} in {path}", shown, "unknown setting; `stream-detector config docs` lists all")
    return file


def _from_environment(name: str, spec: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The (variable, text) that sets it; an empty variable counts as not set. Aliases that disagree are refused."""
    found: list[tuple[str, str]] = []
    for variable in (PREFIX + name.upper(), *spec["aliases"]):
        if environ.get(variable, "").strip():
            found.append((variable, environ[variable]))
        path = environ.get(variable + "_FILE")
        if path and spec["secret"]:
            try:
                found.append((variable + "_FILE", Path(path).read_text("utf-8").strip()))
            except OSError as error:
                raise SettingsError(
                    variable + "_FILE", _shown_path(path), f"cannot be read: {error.strerror}"
                ) from None
            except ValueError:
                raise SettingsError(variable + "_FILE", repr(path), "cannot be read: it is not UTF-8") from None
    if len({_comparable(spec, text) for _, text in found}) > 1:
        names = " and ".join(variable for variable, _ in found)
        raise SettingsError(found[0][0], "(two values)", f"{names} disagree; set one of them")
    return found[0] if found else None


def _shown_path(path: str) -> str:
    """The path for an error; not where it may be the secret itself, set under the name of its file."""
    folder = "/".join(path.split("/")[:2]) if path.startswith("/") else os.path.dirname(path)
    return repr(path) if folder and os.path.isdir(folder) else "(hidden, it must be the path of a file)"


def _comparable(spec: Mapping[str, Any], text: str) -> Any:
    try:
        return spec["parse"](text)
    except ValueError:
        return text
