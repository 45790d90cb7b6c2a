"""The database URL: no piece of a password is shown wherever it is given, and each parameter means what libpq means.

Situations that would break it: a password with a character that ends the host for a parser; one that is a parameter, a
port or a host to it; a password in a parameter, a file, a file's name, or a setting whose name is misspelled; errors of
the libraries that read it; a parameter that is passed on without being understood.
"""

import json
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from stream_detector.cli import main
from stream_detector.database_url import (
    ENCODE,
    SERVER_SETTINGS,
    WITHOUT_EFFECT,
    DatabaseUrl,
    DatabaseUrlError,
    parse_database_url,
    read_service,
)
from stream_detector.settings import Settings, SettingsError, load
from stream_detector.store.connect import StoreAwayError, address_of, open_pool
from stream_detector.store.connector import check_database_url

SET = "STREAM_DETECTOR_DATABASE_URL"
WORDS = ("Zqx1", "Wvk22", "Jhz9", "73951")
"""Of which passwords are made: none is in a text of ours. The last one could be a port."""
ODD = ("/", "?", "#", "@", ":", "%", "&", "=", "[", "]", "+", " ", ";", "\\", "'", '"', "?Wvk2=", "%4", "℀", "／", "//")
PASSWORDS = st.lists(st.sampled_from(WORDS + ODD), min_size=1, max_size=6).map("".join)
URLS = st.sampled_from(
    [
        "postgresql://me:{}@db.example:5432/watch",
        "postgres://me:{}@db.example",
        "postgresql://me:{}@h1:5432,h2/watch?sslmode=require&connect_timeout=5",
        "postgresql://db.example/watch?user=me&password={}",
        "postgresql:///watch?host=/run/pg&user=me&password={}&sslmode=disable",
        "postgresql://me:{}",
        "postgresql:///me:{}@db/watch",
        "me:{}@db/watch",
        "jdbc:postgresql://me:{}@db/watch",
        "postgresql+asyncpg://me:{}@db/watch",
        "postgresql://db/watch?user=me&sslpassword={}&nonsense=1",
    ]
)


def shows_nothing(text: str, given: str) -> None:
    """No word of a password that was given is in the text."""
    assert not [word for word in WORDS if word in given and word in text], (text, given)


@given(URLS, PASSWORDS)
@example("postgresql://me:{}@db/w", "Top/Zqx1")
@example("postgresql://me:{}@db/w", "Zqx1?Wvk22")
@example("postgresql://me:{}@db/w", "Zqx1@Wvk22#x")
@example("postgresql://me:{}@db/w", "73951?Zqx1=a")
@example("postgresql://me:{}@db/w", "[Zqx1")
@example("postgresql://me:{}@db/w", "Zqx1℀Wvk22")
def test_a_password_that_is_not_encoded_is_taken_as_it_is_or_refused_without_a_piece_of_it(form, password):
    raw = form.format(password)
    settings = None
    for how in ({"environ": {SET: raw}}, {"environ": {}, "flags": {"database_url": raw}}):
        try:
            settings = load(**how)
        except SettingsError as error:
            shows_nothing(str(error), raw)
            assert "(hidden)" in str(error)
    shown = address_of(raw)
    if settings is None:
        assert shown == "(hidden)"
        return
    known = parse_database_url(raw)
    shows_nothing(f"{settings!r} {known!r} {settings.shown('database_url')}", raw)
    if known.password == password and "@" in form:
        shows_nothing(shown, raw)
    elif "@" in form:
        # Two URLs in one text: `me:73951` may be a host and its port. Then the user forgot nothing.
        assert known.password in (None, password)


@given(PASSWORDS)
def test_an_encoded_password_arrives_as_it_is_and_is_shown_nowhere(password):
    url = f"postgresql://{quote(password, safe='')}:{quote(password, safe='')}@db/watch"
    known = parse_database_url(url)
    assert (known.user, known.password, known.address) == (password, password, "db/watch")
    assert parse_database_url(f"postgresql://db/w?password={quote(password, safe='')}").password == password
    shows_nothing(repr(Settings(database_url=url)).replace(known.user or "", ""), password)
    shows_nothing(repr(parse_database_url(f"postgresql://me:{quote(password, safe='')}@db/watch")), password)


@pytest.mark.parametrize("password", ["Top/Zqx1", "Zqx1?Wvk22", "Zqx1@Wvk22#x", "Zqx1#Wvk22", "Wvk22%Zqx1"])
@pytest.mark.parametrize(
    "words",
    [
        ["recorder"], ["api"], ["detector"], ["notifier"], ["setup"], ["doctor"], ["token", "list"],
        ["session", "list"], ["token", "link"], ["baselines", "restore"], ["config", "show"], ["up"], ["acls"],
        ["publish", __file__],
        ["check", "x"], ["anomalies"], ["why", "x"], ["dead-letters", "list"],
    ],
    ids=lambda words: words[0] + (f" {words[1]}" if words[1:] and "/" not in words[1] else ""),
)  # fmt: skip
def test_every_command_exits_with_2_and_tells_to_encode(words, password, monkeypatch):
    monkeypatch.setenv(SET, f"postgresql://me:{password}@db/watch")
    monkeypatch.setenv("STREAM_DETECTOR_BROKER", "127.0.0.1:1")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    assert f"{SET}=(hidden): percent-encode / ? # @ :" in done.output
    shows_nothing(done.output, password)


def test_a_flag_a_file_and_the_name_of_a_file_show_nothing(tmp_path):
    secret = "postgresql://me:Zqx1/Wvk22@db/watch"
    file = tmp_path / "settings.toml"
    for line in (f"database_url = {json.dumps(secret)}", f"databse_url = {json.dumps(secret)}"):
        file.write_text(line)
        with pytest.raises(SettingsError) as error:
            load({}, config=str(file))
        shows_nothing(str(error.value), secret)
    for named in (secret, "Zqx1Wvk22", "Zqx1/Wvk22", "/Zqx1/Wvk22"):
        with pytest.raises(SettingsError, match="must be the path of a file") as error:
            load({SET + "_FILE": named})
        shows_nothing(str(error.value), secret)
    (tmp_path / "latin").write_bytes("postgresql://me:Zqx1ü@db".encode("latin1"))
    with pytest.raises(SettingsError, match="not UTF-8"):
        load({SET + "_FILE": str(tmp_path / "latin")})
    for words in (["doctor", secret], [secret], ["setup", "--dry-run=" + secret]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        shows_nothing(done.output, secret)


@pytest.mark.parametrize("name", ["smtp_url", "slack_webhook_url", "webhook_url", "base_url"])
@pytest.mark.parametrize("host", ["me:Zqx1[@host", "me:Zqx1℀@host"])
def test_other_urls_that_cannot_be_read_show_no_password(name, host):
    scheme = "smtp" if name == "smtp_url" else "https"
    with pytest.raises(SettingsError, match="must be a URL with scheme") as error:
        load({f"STREAM_DETECTOR_{name.upper()}": f"{scheme}://{host}/x"})
    if name != "base_url":  # which is no secret, and shown as it is
        shows_nothing(str(error.value), "Zqx1")


@pytest.mark.parametrize(
    ("url", "address", "options"),
    [
        (
            "postgresql://alex:AbC123dEf@ep-cool-1-pooler.us-east-2.aws.neon.tech/db?sslmode=require&channel_binding=require",
            "ep-cool-1-pooler.us-east-2.aws.neon.tech/db",
            {"sslmode": "require", "channel_binding": "require"},
        ),
        (
            "postgresql://postgres.abcd:pw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
            "aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
            {"pgbouncer": "true", "connection_limit": "1"},
        ),
        (
            "postgresql://user%40server:pw@server.postgres.database.azure.com:5432/postgres?sslmode=require",
            "server.postgres.database.azure.com:5432/postgres",
            {"sslmode": "require"},
        ),
        ("postgres://u:p1@ec2-1.compute-1.amazonaws.com:5432/d1", "ec2-1.compute-1.amazonaws.com:5432/d1", {}),
        (
            "postgresql://doadmin:pw@db-postgresql-do-user-1.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
            "db-postgresql-do-user-1.b.db.ondigitalocean.com:25060/defaultdb",
            {"sslmode": "require"},
        ),
        ("postgresql://u:p@localhost/db?host=/cloudsql/project:region:name", "/cloudsql/project:region:name/db", {}),
        (
            "postgresql://u:p@a:5432,b:5433,[::1]:5434/db?target_session_attrs=read-write&load_balance_hosts=random",
            "a:5432,b:5433,[::1]:5434/db",
            {"target_session_attrs": "read-write", "load_balance_hosts": "random"},
        ),
        ("postgresql://%2Frun%2Fpostgresql/db?user=me@realm", "/run/postgresql/db", {}),
        ("postgresql://?host=a,b&port=1,2&dbname=db", "a:1,b:2/db", {}),
        (
            "postgresql://host?ssl=true&options=-c%20search_path%3Da+b",
            "host",
            {"options": "-c search_path=a+b", "sslmode": "require"},
        ),
        ("postgresql://:5433/db", "localhost:5433/db", {}),
        ("postgresql:///db", "localhost/db", {}),
        ("postgresql://?service=mine", "service mine", {"service": "mine"}),
    ],
)  # fmt: skip
def test_urls_are_read_as_libpq_and_as_providers_give_them(url, address, options):
    known = parse_database_url(url)
    assert (known.address, dict(known.options)) == (address, options)
    assert load({SET: url}).database_url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://db/w?nonsense=1", "nonsense is not a parameter"),
        ("postgresql://me:pw@db/w?sslmod=require", "sslmod is not a parameter"),
        ("postgresql://db/w?hostaddr=127.0.0.1", "hostaddr is not supported: use host"),
        ("postgresql://db/w?require_auth=scram-sha-256", "require_auth is not supported: use sslmode=verify-full"),
        ("postgresql://db/w?sslmode=on", "sslmode must be one of disable, allow, prefer"),
        ("postgresql://db/w?connect_timeout=soon", "connect_timeout must be a whole number"),
        ("postgresql://db/w?target_session_attrs=master", "target_session_attrs must be one of any, read-write"),
        ("postgresql://db/w?client_encoding=latin1", "client_encoding must be one of auto, utf8"),
        ("postgresql://db/w?gssencmode=require", "gssencmode must be one of disable, prefer"),
        ("postgresql://db/w?sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("postgresql://db/w?sslmode=prefer&channel_binding=require", "channel_binding=require needs sslmode=require"),
        ("postgresql://a,b/w?port=1,2,3", "port must have one number, or one for each host"),
        ("postgresql://db:99999/w", "the port must be a number from 1 to 65535"),
        ("postgresql://db/w?sslmode", "NAME=VALUE"),
        ("postgresql://me%00@db/w", "percent-encode"),
        ("postgresql://me:%ff@db/w", "must be UTF-8"),
        ("postgresql://me:p\nw@db/w", "line breaks"),
        ("mysql://db/w", "must be a URL with scheme postgres or postgresql"),
    ],
)
def test_what_cannot_be_kept_to_is_named(url, why):
    with pytest.raises(DatabaseUrlError, match=why):
        parse_database_url(url)


@pytest.mark.parametrize("name", [*WITHOUT_EFFECT, *SERVER_SETTINGS, "application_name", "sslcert", "krbsrvname"])
def test_parameters_that_are_taken(name):
    assert dict(parse_database_url(f"postgresql://db/w?{name}=1").options) == {name: "1"}


def test_a_wait_that_never_ends_is_limited():
    def limit(value):
        return parse_database_url(f"postgresql://db/w?connect_timeout={value}").connect_timeout_s

    assert [limit(value) for value in ("3", "0", "-1", "999999999")] == [3.0, None, None, 60.0]


def test_a_channel_that_must_be_bound_needs_a_verified_server():
    def trusts(options):
        return parse_database_url(f"postgresql://db/w?{options}").trusts_system_cas

    assert trusts("channel_binding=require") and trusts("sslrootcert=system")
    assert not trusts("channel_binding=prefer") and not trusts("channel_binding=require&sslrootcert=/ca.pem")


def test_a_service_is_read_from_its_file_and_the_url_counts_more(tmp_path):
    file = tmp_path / "services"
    file.write_text(
        "[mine]\nhost=db.example\nport=5433\nuser=me\npassword=Zqx%1#/@\ndbname=other\n[Bad\n".replace("[Bad", "")
    )
    known = read_service(parse_database_url("postgresql:///watch?service=mine"), file)
    assert (known.address, known.user, known.password) == ("db.example:5433/watch", "me", "Zqx%1#/@")
    for text, why in (
        ("[other]\n", "no section of this name"),
        ("password=Zqx1\n", "must have lines"),
        ("[mine]\npassword=a\npassword=Zqx1\n", "must have lines"),
        ("[mine]\nnonsense=Zqx1\n", "a parameter that is not supported"),
    ):
        file.write_text(text)
        with pytest.raises(DatabaseUrlError, match=why) as error:
            read_service(parse_database_url("postgresql://?service=mine"), file)
        shows_nothing(str(error.value), "Zqx1")
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        check_database_url(f"postgresql://?service=mine&servicefile={tmp_path / 'none'}")


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path):
    readable = tmp_path / "pgpass"
    readable.write_text("*:*:*:*:secret\n")
    readable.chmod(0o644)
    for option, path, why in (
        ("sslrootcert", tmp_path / "none", "there is no such file"),
        ("sslrootcert", readable, "cannot be read as PEM"),
        ("sslcert", readable, "cannot be read as PEM"),
        ("passfile", readable, "chmod 600"),
    ):
        with pytest.raises(SettingsError, match=why):
            check_database_url(f"postgresql://db/w?{option}={path}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:Zqx1%2FWvk22@127.0.0.1:1/watch",
        "postgresql://me@127.0.0.1:1,127.0.0.1:2/watch?password=Zqx1%26Wvk22&connect_timeout=1",
        "postgresql:///watch?host=/nowhere&user=me&password=Zqx1&target_session_attrs=prefer-standby",
        "postgresql://me:Zqx1@db..example/watch",
        "postgresql://me:Zqx1@nowhere.invalid/watch?sslmode=verify-full&sslrootcert=system",
    ],
)
async def test_a_database_that_does_not_answer_is_named_without_a_piece_of_the_password(url):
    with pytest.raises((StoreAwayError, SettingsError)) as error:
        await open_pool(url, name="test")
    shows_nothing(f"{error.value} {error.value!r} {error.value.__cause__!r}", url)


def test_a_parsed_url_has_no_secret_in_its_repr():
    assert repr(DatabaseUrl(password="Zqx1", options={"sslpassword": "Wvk22"})) == (
        "DatabaseUrl(hosts=(), user=None, database=None)"
    )


def test_the_text_tells_what_to_encode():
    assert ENCODE.startswith("percent-encode / ? # @ :")
