"""Settings: what is missing or wrong is named at once, and no value is ever told."""

from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from lsats_dagster.cli.run import require_a_source
from lsats_dagster.settings import REPOSITORY, ConfigurationError, example, load, load_settings
from lsats_dagster.sources import KINDS
from lsats_dagster.sources.tdx import TdxSettings
from lsats_dagster.sources.umich_api import GatewaySettings

NAMES = [name.upper() for kind in KINDS for name in kind.model_fields]
KEYS = [dg.AssetKey(key) for key in (["bronze", "tdx_departments"], ["bronze", "umapi_departments"])]
# Every variable whose value opens something.
SECRETS = [
    "DATABASE_URL", "DATABASE_ADMIN_URL", "TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_PASSWORD", "TDX_API_TOKEN",
    "UM_CLIENT_KEY", "UM_CLIENT_SECRET", "DAGSTER_PG_PASSWORD",
]  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of the hub is set, and no .env is in reach; the folder where one may be put."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert settings.lsats_home == Path(".lsats")
    assert settings.database_url is None
    assert load(GatewaySettings).um_calls_per_minute == 200
    assert settings.detail_call_budget == 1500
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
        monkeypatch.setenv(name.upper(), "x")
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
        monkeypatch.setenv(name, "x")
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
    (tmp_path / "tdx_web_services_key").write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("TDX_BEID", " id\n")
    for name in ("TDX_API_TOKEN", "DETAIL_WORKERS", "LOG_LEVEL", "DAGSTER_PG_DATABASE"):
        monkeypatch.setenv(name, " ")
    settings, tdx = load_settings(), load(TdxSettings)
    assert (tdx.tdx_beid, tdx.tdx_api_token) == (SecretStr("id"), None)
    assert (settings.detail_workers, settings.log_level, settings.dagster_pg_database) == (3, "INFO", "dagster")
    assert tdx.tdx_web_services_key == SecretStr("secret")


def test_the_first_complete_login_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TDX_BASE_URL", "TDX_BEID", "TDX_USERNAME", "TDX_PASSWORD", "TDX_API_TOKEN"):
        monkeypatch.setenv(name, "x")
    assert type(TdxSettings().credentials).__name__ == "UserLogin"
    monkeypatch.setenv("TDX_WEB_SERVICES_KEY", "x")
    assert type(TdxSettings().credentials).__name__ == "AdminLogin"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UM_CALLS_PER_MINUTE", "canary"),
        ("UM_CALLS_PER_MINUTE", "-5150"),
        ("HTTP_READ_SECONDS", "0"),
        ("BATCH_SIZE", "20001"),
        ("DETAIL_WORKERS", "17"),
        ("LOG_LEVEL", "canary"),
        ("DETAIL_CALL_BUDGET", "12.5canary"),
    ],
)
def test_an_unusable_value_is_named_and_not_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        [load(kind) for kind in KINDS]
    assert name in str(raised.value)
    assert len(value) < 3 or value not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_all_unusable_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SIZE", "many")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"BATCH_SIZE.*LOG_LEVEL"):
        load_settings()


@pytest.mark.parametrize("name", ["ALERT_SMTP_HOST", "ALERT_EMAIL_TO"])
def test_mail_by_half_is_named_whole(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It would send nothing and say nothing."""
    monkeypatch.setenv(name, "canary")
    with pytest.raises(ConfigurationError, match=r"ALERT_SMTP_HOST and ALERT_EMAIL_TO") as raised:
        load_settings()
    assert "canary" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    monkeypatch.setenv("ALERT_SMTP_HOST", "relay")
    monkeypatch.setenv("ALERT_EMAIL_TO", "owners@example.edu")
    load_settings()


def test_secrets_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        value = f"postgresql://hub:canary-{name}@localhost/hub" if name.startswith("DATABASE") else f"canary-{name}"
        monkeypatch.setenv(name, value)
    told = repr(TdxSettings().credentials)
    for settings in (kind() for kind in KINDS):
        told += f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "TDX_BEID".lower() in told
    assert "canary" not in told


def test_every_variable_that_sounds_secret_is_kept_secret() -> None:
    sounding = {
        n for n in NAMES if any(word in n for word in ("PASSWORD", "SECRET", "KEY", "TOKEN", "BEID", "DATABASE"))
    }
    assert sounding - {"UM_TOKEN_URL", "DAGSTER_PG_DATABASE"} == set(SECRETS)


def test_the_example_file_is_current() -> None:
    text = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    assert text == example(KINDS) + "\n", "run `make docs`"


def test_the_example_file_explains_every_variable_and_changes_nothing(bare: Path) -> None:
    before = [kind() for kind in KINDS]
    (bare / ".env").write_text(example(KINDS))
    assert [load(kind) for kind in KINDS] == before
    (bare / ".env").write_text(
        "\n".join(line.removeprefix("# ") if "=" in line else line for line in example(KINDS).split("\n"))
    )
    assert [load(kind) for kind in KINDS] == before
    lines = example(KINDS).split("\n")
    for name in NAMES:
        [at] = [i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name}=")]
        assert lines[at - 1].startswith("# ")
        assert lines[at - 1].endswith(".")
