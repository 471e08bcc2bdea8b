"""Settings: what is missing or wrong is named at once, and no value is ever told."""

import string
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import quote

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from lsats_dagster import settings as kinds
from lsats_dagster.cli.run import require_a_source
from lsats_dagster.settings import (
    REPOSITORY,
    ConfigurationError,
    Settings,
    Variables,
    example,
    file_variables,
    load,
    load_settings,
)
from lsats_dagster.sources import KINDS
from lsats_dagster.sources.tdx import TdxSettings
from lsats_dagster.sources.umich_api import GatewaySettings

NAMES = [name.upper() for kind in KINDS for name in kind.model_fields]
KEYS = [dg.AssetKey(key) for key in (["bronze", "tdx_departments"], ["bronze", "umapi_departments"])]
# Every variable whose value opens something.
SECRETS = [
    "DATABASE_URL", "DATABASE_ADMIN_URL", "TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_PASSWORD", "TDX_API_TOKEN",
    "UM_CLIENT_KEY", "UM_CLIENT_SECRET", "MCOMMUNITY_LDAP_PASSWORD", "AD_PASSWORD", "DAGSTER_PG_URL", "ALERT_WEBHOOK_URL",
]  # fmt: skip
# What nobody means, by kind of variable.
NUMBERS = ["inf", "-inf", "nan", "1e308", "-1e308", "9999999999", "-9999999999", "9" * 5000, "0x10", "many", "1;2"]
TEXTS = ["can\x1b[2Jary", "can\nary", "can\udce4ary"]
PATHS = ["~", "~/canary", "~root/canary", "canary" * 60, "canary/" * 300]
ADDRESSES = [
    "http://[::1", "canary", "https://", "http://canary.example.org", "ftp://canary.example.org", "https://canary..org",
    "https://canary.example.org:99999", "https://canary.example.org:0", f"https://{'canary' * 12}.org",
    "https://us er.canary.org", "https://canary:canary@example.org", "https://canary.org/#canary", "//canary.example.org",
]  # fmt: skip
POSTGRES = [
    "canary", "canary:", "mysql://u:canary@localhost/x", "postgresql://u:canary@localhost:port/x",
    "postgresql://u:canary@localhost:0/x", "postgresql://u:canary@localhost:99999/x", "postgresql://u:canary@[::1/x",
    "postgresql://u:canary@localhost:99999999999999999999/x", "postgresql://u:canary%00@localhost/x",
    "postgresql://u:canary%ff@localhost/x", "postgresql://u:canary@localhost/x?port=many",
    "postgresql://u:canary@localhost/x?sslmode=a&sslmode=b", "postgresql://u:can@ary@localhost/x",
    "postgresql://u:can/ary@localhost/x",
]  # fmt: skip
ABSURD: list[tuple[Any, list[str]]] = [
    (int, NUMBERS), (float, NUMBERS), (kinds.Seconds, NUMBERS), (str, TEXTS), (SecretStr, TEXTS),
    (kinds.Folder, PATHS + TEXTS), (kinds.HttpAddress, [*ADDRESSES, *TEXTS, "https://canary.org/?canary"]),
    (kinds.Webhook, ADDRESSES + TEXTS), (kinds.Host, ["can ary", "canary..org", "canary" * 12, "[::1", "canary@x", *TEXTS]),
    (kinds.MailAddresses, ["canary", "canary@", "@canary", "a@canary.org, canary", "canary@\u00e9cole.org", *TEXTS]),
    (kinds.PostgresAddress, POSTGRES + TEXTS),
    (kinds.StorageAddress, ["postgresql://u:canary@localhost/x", *(a.replace("sql:", "sql+psycopg2:") for a in POSTGRES)]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of the hub is set, and no .env is in reach; the folder where one may be put."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sound(name: str) -> str:
    return "https://example.edu/api" if name.upper().endswith("_URL") else "x"


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert settings.lsats_home == Path(".lsats")
    assert settings.database_url is None
    assert load(GatewaySettings).um_calls_per_minute == 200
    assert settings.detail_budget_minutes == 25
    assert settings.batch_size == 10_000
    assert settings.log_level == "INFO"


def test_the_environment_wins_over_the_file(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / ".env").write_text("UM_CATEGORY_ID=file\nBATCH_SIZE=7\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("UM_CATEGORY_ID", "environment")
    assert (load(GatewaySettings).um_category_id, load_settings().batch_size) == ("environment", 7)


def test_everything_missing_is_named_at_once() -> None:
    assert GatewaySettings().missing == ["UM_BASE_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET"]
    with pytest.raises(ConfigurationError) as raised:
        require_a_source(KEYS)
    for name in ("TDX_BASE_URL", "UM_BASE_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET", ".env.example"):
        assert name in str(raised.value)


def test_one_source_that_is_set_up_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GatewaySettings.ways[0]:
        monkeypatch.setenv(name.upper(), sound(name))
    require_a_source(KEYS)
    with pytest.raises(ConfigurationError, match="TDX_BASE_URL") as raised:
        require_a_source(KEYS[:1])
    assert "UM_" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], ["TDX_BASE_URL", "TDX_BEID", "TDX_WEB_SERVICES_KEY"]),
        (["TDX_BASE_URL"], ["TDX_BEID", "TDX_WEB_SERVICES_KEY"]),
        (["TDX_API_TOKEN"], ["TDX_BASE_URL"]),
        (["TDX_BASE_URL", "TDX_BEID"], ["TDX_WEB_SERVICES_KEY"]),
        (["TDX_BASE_URL", "TDX_USERNAME"], ["TDX_PASSWORD"]),
        (["TDX_BASE_URL", "TDX_USERNAME", "TDX_PASSWORD"], []),
        (["TDX_BASE_URL", "TDX_BEID", "TDX_API_TOKEN"], []),
        (["TDX_BEID", "TDX_WEB_SERVICES_KEY"], ["TDX_BASE_URL"]),
        (["TDX_BASE_URL", "TDX_BEID", "TDX_USERNAME"], ["TDX_WEB_SERVICES_KEY"]),
    ],
)
def test_the_login_that_was_begun_is_asked_for_or_else_the_first(
    monkeypatch: pytest.MonkeyPatch, given: list[str], missing: list[str]
) -> None:
    for name in given:
        monkeypatch.setenv(name, sound(name))
    assert TdxSettings().missing == missing


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch, bare: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("UM_CALLS_PER_MINUTE", "")
    (bare / ".env").write_text("UM_CLIENT_KEY=\n")
    assert load(GatewaySettings).um_calls_per_minute == 200
    assert "UM_CLIENT_KEY" in load(GatewaySettings).missing
    with pytest.raises(ConfigurationError, match="DATABASE_URL not set"):
        load_settings().require_database()


def test_white_space_around_a_value_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tdx_web_services_key").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("TDX_BEID", " id\n")
    for name in ("TDX_API_TOKEN", "DETAIL_WORKERS", "LOG_LEVEL"):
        monkeypatch.setenv(name, " ")
    settings, tdx = load_settings(), load(TdxSettings)
    assert (tdx.tdx_beid, tdx.tdx_api_token) == (SecretStr("id"), None)
    assert (settings.detail_workers, settings.log_level) == (3, "INFO")
    assert tdx.tdx_web_services_key == SecretStr("secret")


def test_the_first_complete_login_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TDX_BASE_URL", "TDX_BEID", "TDX_USERNAME", "TDX_PASSWORD", "TDX_API_TOKEN"):
        monkeypatch.setenv(name, sound(name))
    assert type(TdxSettings().credentials).__name__ == "UserLogin"
    monkeypatch.setenv("TDX_WEB_SERVICES_KEY", "x")
    assert type(TdxSettings().credentials).__name__ == "AdminLogin"


def hint_of(kind: type[Variables], name: str) -> Any:
    hint = get_type_hints(kind, include_extras=True)[name]
    return (
        next((part for part in get_args(hint) if part is not type(None)), hint)
        if type(None) in get_args(hint)
        else hint
    )


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in kind.model_fields])
def test_an_absurd_value_is_one_sentence_that_names_it_and_does_not_tell_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[Variables], name: str
) -> None:
    hint = hint_of(kind, name)
    values = next((values for known, values in ABSURD if known == hint), ["canary", "1", *TEXTS])
    if name.endswith(("_url", "_host", "_to", "_from", "_home", "_bin")):
        assert hint not in (str, SecretStr, Path), "a kind of its own says what is absurd"
    for value in values:
        monkeypatch.setenv(name.upper(), value)
        with pytest.raises(ConfigurationError) as raised:
            load(kind)
        said = str(raised.value)
        assert (name.upper() in said, len(said.splitlines()), len(said) < 400) == (True, 1, True), said
        assert len(value) < 3 or value not in said
        assert "ary" not in said
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__


@pytest.mark.parametrize("sign", string.punctuation)
def test_no_part_of_a_password_is_taken_for_a_host(monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    password = f"se{sign}cret:1/x"
    for written in (f"se{sign}cret", password):
        monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{written}@127.0.0.1:1/x")
        try:
            said = f"DATABASE_URL {make_url(load_settings().require_database()).host}"
        except ConfigurationError as error:
            said = str(error)
        assert "DATABASE_URL" in said
        assert "cret" not in said
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{quote(password, safe='')}@127.0.0.1:1/x")
    assert make_url(load_settings().require_database()).password == password


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:p@/lsats?host=/run/postgresql&port=5433"),
        ("DATABASE_URL", "postgresql://db.example.edu/lsats?user=u&password=p&sslmode=verify-full"),
        ("DATABASE_URL", "postgresql:///lsats"),
        ("DATABASE_URL", "postgres://u:p@[::1]:5432/lsats"),
        ("DAGSTER_PG_URL", "postgresql+psycopg2://u:p@/dagster?host=/run/postgresql"),
        ("ALERT_WEBHOOK_URL", "https://chat.example.edu/hooks/1?key=a&token=b"),
        ("ALERT_WEBHOOK_URL", "http://127.0.0.1:8080/hook"),
        ("ALERT_EMAIL_FROM", "The hub <hub@example.edu>"),
        ("LSATS_HOME", "/srv/lsats ~ hub"),
        ("LOCK_WAIT_SECONDS", "0"),
        ("HTTP_READ_SECONDS", "86400"),
    ],
)
def test_a_sound_value_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    taken = getattr(load_settings(), name.lower())
    given = taken.get_secret_value() if isinstance(taken, SecretStr) else taken
    assert given == type(given)(value)


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "{}"])
def test_the_file_gives_values_as_they_are_written(bare: Path, monkeypatch: pytest.MonkeyPatch, quoted: str) -> None:
    """Nothing is expanded, neither for us nor for what we start."""
    monkeypatch.setenv("HOME", "elsewhere")
    password = "pa${HOME}ss$word#1${NO_SUCH:-x}"
    (bare / ".env").write_bytes(b"\xef\xbb\xbf" + f"TDX_PASSWORD={quoted.format(password)}\r\n".encode())
    assert load(TdxSettings).tdx_password == SecretStr(password)
    assert file_variables(KINDS) == {"TDX_PASSWORD": password}


@pytest.mark.parametrize(
    "text", [b"LOG_LEVEL=INFO\nTDX_PASSWORD='can\xe4ary'\n", b"LOG_LEVEL=INFO\nTDX_PASSWORD='canary\n"]
)
def test_a_file_that_cannot_be_read_is_named(bare: Path, text: bytes) -> None:
    (bare / ".env").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"\.env") as raised:
        load(Settings)
    assert "ary" not in str(raised.value)


def test_a_credential_file_that_cannot_be_read_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(bare))
    (bare / "tdx_password").write_bytes(b"can\xe4ary")
    with pytest.raises(ConfigurationError, match="credential file of TDX_PASSWORD is not in UTF-8"):
        load(TdxSettings)


def test_all_unusable_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SIZE", "many")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"BATCH_SIZE.*LOG_LEVEL"):
        load_settings()


@pytest.mark.parametrize("name", ["ALERT_SMTP_HOST", "ALERT_EMAIL_TO"])
def test_mail_by_half_is_named_whole(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It would send nothing and say nothing."""
    monkeypatch.setenv(name, "canary" if name.endswith("HOST") else "canary@example.edu")
    with pytest.raises(ConfigurationError, match=r"ALERT_SMTP_HOST and ALERT_EMAIL_TO") as raised:
        load_settings()
    assert "canary" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    monkeypatch.setenv("ALERT_SMTP_HOST", "relay")
    monkeypatch.setenv("ALERT_EMAIL_TO", "owners@example.edu")
    load_settings()


def test_secrets_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        database = f"postgresql+psycopg2://hub:canary-{name}@localhost/hub"
        address = f"https://example.edu/canary-{name}" if name.startswith("ALERT") else database
        monkeypatch.setenv(name, address if name.endswith("URL") else f"canary-{name}")
    told = repr(TdxSettings().credentials)
    for settings in (kind() for kind in KINDS):
        told += f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "TDX_BEID".lower() in told
    assert "canary" not in told


def test_every_variable_that_sounds_secret_is_kept_secret() -> None:
    sounding = {
        n
        for n in NAMES
        if any(word in n for word in ("PASSWORD", "SECRET", "KEY", "TOKEN", "BEID", "DATABASE", "PG_URL", "WEBHOOK"))
    }
    assert sounding - {"UM_TOKEN_URL"} == set(SECRETS)


def test_the_example_file_is_current() -> None:
    text = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    assert text == example(KINDS) + "\n", "run `make docs`"


def set_by_default(line: str) -> bool:
    """Whether a line of the example tells a variable with its default. Explanations may hold a `=`, too."""
    return line.removeprefix("# ").partition("=")[0] in NAMES


def test_the_example_file_explains_every_variable_and_changes_nothing(bare: Path) -> None:
    before = [kind() for kind in KINDS]
    (bare / ".env").write_text(example(KINDS))
    assert [load(kind) for kind in KINDS] == before
    (bare / ".env").write_text(
        "\n".join(line.removeprefix("# ") if set_by_default(line) else line for line in example(KINDS).split("\n"))
    )
    assert [load(kind) for kind in KINDS] == before
    lines = example(KINDS).split("\n")
    for name in NAMES:
        [at] = [i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name}=")]
        assert lines[at - 1].startswith("# ")
        assert lines[at - 1].endswith(".")
