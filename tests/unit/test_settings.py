"""Settings: every row of S8 and S9, aliases, files, secrets, and that each is documented."""

from dataclasses import replace
from decimal import Decimal

import pytest

from stream_detector.cli.settings_page import default_of, settings_page
from stream_detector.settings import PREFIX, SPECS, USED_BY, Settings, SettingsError, environ_of, load

THRESHOLDS = ("GVS_ANOMALY_THRESHOLD", "STREAM_DETECTOR_SCORE_THRESHOLD")


@pytest.mark.parametrize("variable", THRESHOLDS)
def test_s08_threshold_comes_from_the_environment(variable):
    assert load({variable: "0.8"}).score_threshold == Decimal("0.8")


@pytest.mark.parametrize("environ", [{}, {"GVS_ANOMALY_THRESHOLD": ""}, {"GVS_ANOMALY_THRESHOLD": "  "}])
def test_s08_unset_or_empty_threshold_is_one_half(environ):
    settings = load(environ)
    assert settings.score_threshold == Decimal("0.5")
    assert settings.origin["score_threshold"] == "default"


@pytest.mark.parametrize("variable", THRESHOLDS)
@pytest.mark.parametrize("value", ["0", "-1", "abc", "nan", "inf", "-inf", "0.0", "1e999", "0,5"])
def test_s09_other_thresholds_stop_the_start_with_the_variables_name(variable, value):
    with pytest.raises(SettingsError) as error:
        load({variable: value})
    assert str(error.value) == f"{variable}={value!r}: must be a positive, finite number, for example 0.5"


def test_aliases_that_agree_are_one_and_that_disagree_are_refused():
    agreeing = dict(zip(THRESHOLDS, ("0.5", "0.50"), strict=True))
    assert load(agreeing).score_threshold == Decimal("0.5")
    with pytest.raises(SettingsError, match="STREAM_DETECTOR_SCORE_THRESHOLD and GVS_ANOMALY_THRESHOLD disagree"):
        load(dict(zip(THRESHOLDS, ("0.5", "0.6"), strict=True)))


@pytest.mark.parametrize("alias", sorted({alias for spec in SPECS.values() for alias in spec["aliases"]}))
def test_each_alias_sets_its_setting(alias):
    (name,) = [name for name, spec in SPECS.items() if alias in spec["aliases"]]
    value = {"GVS_ANOMALY_THRESHOLD": "0.7"}.get(alias, "https://example.org/x")
    settings = load({alias: value})
    assert str(getattr(settings, name)) == value
    assert settings.origin[name] == "environment"


def test_sources_rise_from_default_over_file_and_environment_to_flag(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('profile = "robust"\npartitions = 8\napi_port = 1\n')
    settings = load({PREFIX + "PARTITIONS": "9", PREFIX + "API_PORT": "2"}, flags={"api_port": "3"}, config=str(file))
    assert (settings.profile, settings.partitions, settings.api_port) == ("robust", 9, 3)
    names = ("topic_prefix", "profile", "partitions", "api_port")
    assert [settings.origin[name] for name in names] == ["default", "file", "environment", "flag"]


def test_a_file_may_be_named_by_the_environment_and_must_hold_known_names(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("partitons = 8\n")
    with pytest.raises(SettingsError, match=r"partitons in .*settings.toml=8: unknown setting"):
        load({"STREAM_DETECTOR_CONFIG": str(file)})


@pytest.mark.parametrize("text", ["partitions =", "\x00"])
def test_a_file_that_is_not_toml_is_named(tmp_path, text):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="cannot be read as TOML"):
        load({}, config=str(file))


def test_a_secret_may_come_from_a_file_and_is_never_shown(tmp_path):
    file = tmp_path / "key"
    file.write_text("k" * 40 + "\n")
    settings = load({"STREAM_DETECTOR_SECRET_KEY_FILE": str(file)})
    assert settings.secret_key == "k" * 40
    assert settings.shown("secret_key") == "(set)"
    with pytest.raises(SettingsError) as error:
        load({"STREAM_DETECTOR_SECRET_KEY": "short secret"})
    assert str(error.value) == "STREAM_DETECTOR_SECRET_KEY=(hidden): must have at least 32 bytes"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"STREAM_DETECTOR_API_TOKEN_FILE=.*: cannot be read"):
        load({"STREAM_DETECTOR_API_TOKEN_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("broker", "kafka", "must be host:port"),
        ("broker", "kafka:0", "must be host:port"),
        ("broker_security", "tls", "must be one of plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ("topic_prefix", "a b", "may contain letters"),
        ("partitions", "0", "must be an integer from 1 to 1000"),
        ("partitions", "4.0", "must be an integer from 1 to 1000"),
        ("session_timeout_s", "5", "must be a number from 6 to 300"),
        ("session_timeout_s", "nan", "must be a number from 6 to 300"),
        ("profile", "best", "must be one of classic, robust"),
        ("base_url", "ftp://x", "must be a URL with scheme http or https"),
        ("inbox_enabled", "maybe", "must be true or false"),
        ("api_port", "65536", "must be an integer from 0 to 65535"),
        ("executions_retention_d", "29", "must be an integer from 30 to 3650"),
        ("log_format", "xml", "must be one of text, json"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(name, value, allowed):
    with pytest.raises(SettingsError) as error:
        load({PREFIX + name.upper(): value})
    assert str(error.value).startswith(f"{PREFIX}{name.upper()}={value!r}: {allowed}")


def test_a_wrong_flag_is_refused_by_the_flags_name():
    with pytest.raises(SettingsError, match="--api-port='x': must be an integer"):
        load({}, flags={"api_port": "x"})


def test_every_default_passes_its_own_check():
    for name, spec in SPECS.items():
        assert spec["parse"](default_of(name)) == getattr(Settings(), name), name


def test_a_child_process_reads_the_same_settings(tmp_path):
    settings = load(
        {"GVS_ANOMALY_THRESHOLD": "0.7", "STREAM_DETECTOR_SECRET_KEY": "s" * 32, "HOME": "/x"},
        flags={"inbox_enabled": "false", "session_timeout_s": "7.5"},
    )
    environ = environ_of(settings, {"GVS_ANOMALY_THRESHOLD": "0.9", "STREAM_DETECTOR_CONFIG": "x", "HOME": "/x"})
    assert load(environ) == settings
    assert environ["HOME"] == "/x"
    assert "GVS_ANOMALY_THRESHOLD" not in environ


def test_every_setting_is_on_the_page_with_default_unit_and_aliases():
    page = settings_page()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert set(rows) == {PREFIX + name.upper() for name in SPECS}
    for name, spec in SPECS.items():
        row = rows[PREFIX + name.upper()]
        assert len(spec["doc"]) > 8, name
        assert spec["doc"].replace("|", "\\|") in row
        assert f"({spec['unit']})" in row or not spec["unit"]
        assert all(f"`{alias}`" in row for alias in spec["aliases"])
        assert (f"`{PREFIX}{name.upper()}_FILE`" in row) == spec["secret"]


def test_s09_threshold_rules_are_refused_by_the_name_of_their_setting() -> None:
    good = load({"STREAM_DETECTOR_SCORE_THRESHOLD_RULES": "type=dao -> 5 %, poll-* -> 1.0"})
    assert good.score_threshold_rules == "type=dao -> 5 %, poll-* -> 1.0"
    for bad in ("dao", "dao -> 0", "dao -> -1", "type= -> x"):
        with pytest.raises(SettingsError, match="SCORE_THRESHOLD_RULES"):
            load({"STREAM_DETECTOR_SCORE_THRESHOLD_RULES": bad})


@pytest.mark.parametrize("role", ["detector", "recorder", "notifier", "api"])
def test_a_role_gets_the_secrets_that_it_uses_and_no_other(role: str) -> None:
    urls = {"slack_webhook_url": "https://secret.example", "smtp_url": "smtp://secret.example"}
    urls |= {"webhook_url": "https://secret.example", "database_url": "postgresql://secret.example/x"}
    given = {name: urls.get(name, "secret " * 8) for name, spec in SPECS.items() if spec["secret"]}
    environ = environ_of(replace(Settings(), **given), {"PATH": "/bin", "SLACK_WEBHOOK_URL": "secret"}, role=role)
    holds = {name for name in given if "secret" in environ[PREFIX + name.upper()]}
    assert holds == {name for name, roles in USED_BY.items() if role in roles}
    assert "SLACK_WEBHOOK_URL" not in environ
    settings = load(environ)
    for name in given.keys() - holds:
        assert bool(getattr(settings, name)) == (role == "api"), "the API shows whether a channel has its settings"


def test_what_is_not_set_stays_so_for_every_role() -> None:
    for role in ("detector", "api"):
        assert load(environ_of(Settings(), {}, role=role)) == Settings()
