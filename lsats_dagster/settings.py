"""Every setting of the hub: one typed, explained field per environment variable.

The field name in upper case is the variable's name. `.env.example` is written from this class, and a test compares the two.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

REPOSITORY = Path(__file__).resolve().parent.parent
SQL_ROOT = REPOSITORY / "sql"

# What each part cannot work without. Every inner tuple is one complete way; the first complete one is taken.
REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "database": (("database_url",),),
    "tdx": (
        ("tdx_base_url", "tdx_beid", "tdx_web_services_key"),
        ("tdx_base_url", "tdx_username", "tdx_password"),
        ("tdx_base_url", "tdx_api_token"),
    ),
    "umich_api": (("um_base_url", "um_category_id", "um_client_key", "um_client_secret"),),
}


class ConfigurationError(Exception):
    """A setting is missing or unusable. The message names every variable concerned and never holds a value."""


class Settings(BaseSettings):
    """The hub's configuration: the environment, then `.env` in the working directory, then systemd's credential files."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        None,
        description="The hub's database, postgresql://user:password@host:port/name. `lsats demo` starts its own.",
    )
    database_admin_url: SecretStr | None = Field(
        None,
        description="Used by `lsats db upgrade` in place of DATABASE_URL, where the service login may not migrate.",
    )
    lsats_home: Path = Field(Path(".lsats"), description="Folder of everything the hub keeps on this machine.")
    lsats_pg_bin: Path | None = Field(
        None,
        description="Folder with initdb and postgres (16 or newer) for the embedded server; default: the package's.",
    )

    dagster_home: Path | None = Field(
        None, description="Folder of Dagster's instance; default: dagster within LSATS_HOME."
    )
    dagster_pg_host: str | None = Field(
        None,
        description="Dagster's own storage; default: the server and login of DATABASE_URL. Dagster's own programs read all "
        "of DAGSTER_ from the environment.",
    )
    dagster_pg_port: int | None = Field(None, gt=0, lt=65536, description="Port of Dagster's storage.")
    dagster_pg_username: str | None = Field(None, description="Login of Dagster's storage.")
    dagster_pg_password: SecretStr | None = Field(None, description="Goes with DAGSTER_PG_USERNAME.")
    dagster_pg_database: str = Field("dagster", description="Name of Dagster's database.")

    tdx_base_url: str | None = Field(None, description="TeamDynamix Web API root, https://host/TDWebApi/api.")
    tdx_beid: SecretStr | None = Field(None, description="Administrative login of TeamDynamix, first choice.")
    tdx_web_services_key: SecretStr | None = Field(None, description="Goes with TDX_BEID.")
    tdx_username: str | None = Field(None, description="User login of TeamDynamix, second choice.")
    tdx_password: SecretStr | None = Field(None, description="Goes with TDX_USERNAME.")
    tdx_api_token: SecretStr | None = Field(
        None, description="A ready token of TeamDynamix, third choice; it cannot be renewed."
    )

    um_base_url: str | None = Field(None, description="UMich API gateway root, https://host or https://host/um.")
    um_token_url: str | None = Field(
        None,
        description="Token endpoint of the gateway; default: /um/oauth2/token on the host of UM_BASE_URL.",
    )
    um_category_id: str | None = Field(None, description="Path segment before /Department, for example bf.")
    um_client_key: SecretStr | None = Field(None, description="OAuth client id of the gateway.")
    um_client_secret: SecretStr | None = Field(None, description="OAuth client secret of the gateway.")
    um_calls_per_minute: int = Field(200, gt=0, description="Calls the gateway grants this application per minute.")

    http_connect_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection to a source.")
    http_read_seconds: float = Field(120.0, gt=0, description="Longest silence within an answer of a source.")
    http_answer_seconds: float = Field(600.0, gt=0, description="Longest time for one whole answer of a source.")

    detail_max_age_days: float = Field(30.0, gt=0, description="A detail older than this is fetched again.")
    detail_call_budget: int = Field(1500, ge=0, description="Most detail calls in one run; 25 minutes at 60 a minute.")
    detail_workers: int = Field(3, ge=1, le=16, description="Detail calls under way at the same time.")
    batch_size: int = Field(10_000, ge=1, le=20_000, description="Records compared and written at once.")
    lock_wait_seconds: float = Field(600.0, ge=0, description="Longest wait for another writer of the same table.")
    alert_webhook_url: SecretStr | None = Field(
        None, description="Alerts are posted here as JSON with a field text, as chat systems take it."
    )
    alert_smtp_host: str | None = Field(
        None, description="Plain mail relay for alerts; no login. Goes with ALERT_EMAIL_TO."
    )
    alert_smtp_port: int = Field(25, gt=0, lt=65536, description="Port of the mail relay.")
    alert_email_from: str = Field("lsats-hub@localhost", description="Sender of alerts.")
    alert_email_to: str | None = Field(None, description="Receivers of alerts, separated by commas.")
    alert_repeat_hours: float = Field(12.0, gt=0, description="The same alert is sent again only after so long.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line logged.")

    @model_validator(mode="before")
    @classmethod
    def trimmed(cls, values: dict[str, object]) -> dict[str, object]:
        """A line end behind a secret, as files have it, is no part of it; what is blank is not set."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("database_url", "database_admin_url")
    @classmethod
    def is_postgres_address(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            usable = value is None or make_url(value.get_secret_value()).get_backend_name() in (
                "postgresql",
                "postgres",
            )
        except (ValueError, SQLAlchemyError):
            usable = False
        if not usable:
            raise ValueError("is not a Postgres address, postgresql://user:password@host:port/name") from None
        return value

    @model_validator(mode="after")
    def mail_is_whole(self) -> Self:
        if bool(self.alert_smtp_host) != bool(self.alert_email_to):
            raise ValueError("ALERT_SMTP_HOST and ALERT_EMAIL_TO go together, and only one of them is set")
        return self

    def is_set_up(self, part: str) -> bool:
        """Whether any variable of `part` (a key of REQUIRED) is set; a source with none is one that the hub does without."""
        return any(getattr(self, name) for way in REQUIRED[part] for name in way)

    def missing(self, parts: list[str]) -> list[str]:
        """Names of the variables that `parts` (keys of REQUIRED) still need: a part by the way of which most is set, of
        several such ways by the first.
        """
        names: list[str] = []
        for part in parts:
            lacking = [[name.upper() for name in way if not getattr(self, name)] for way in REQUIRED[part]]
            if not all(lacking):
                continue
            given = [len(way) - len(lacks) for way, lacks in zip(REQUIRED[part], lacking, strict=True)]
            names += [name for name in lacking[given.index(max(given))] if name not in names]
        return names

    def require(self, *parts: str) -> None:
        """Raise ConfigurationError naming everything that `parts` lack, all at once."""
        if names := self.missing(list(parts)):
            raise ConfigurationError(
                f"{', '.join(names)} not set, needed for {' and '.join(parts)}: "
                "set them in the environment or in .env (.env.example explains each)"
            )


def load_settings() -> Settings:
    """The settings of this moment; ConfigurationError names every variable that cannot be used."""
    try:
        # The service manager's folder of secrets, one file per variable, named as the field.
        return Settings(_secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY"))
    except ValidationError as error:
        problems = [
            # What is wrong with several variables together names them itself.
            ": ".join([*(str(name).upper() for name in e["loc"]), e["msg"].removeprefix("Value error, ")])
            for e in error.errors(include_input=False)
        ]
        raise ConfigurationError(f"unusable settings: {'; '.join(problems)}") from None


def file_variables() -> dict[str, str]:
    """The variables of the hub that `.env` in the working directory gives, for programs that work elsewhere."""
    given = DotEnvSettingsSource(Settings).env_vars
    return {name.upper(): value for name in Settings.model_fields if (value := given.get(name))}


def example() -> str:
    """The text of `.env.example`: every variable with its meaning and default."""
    lines = [
        "# Settings of the hub. Copy to .env and fill in what you need; nothing is needed for `make demo`.",
        "# The environment wins over this file. Secrets belong in the environment, or in systemd's credential files: one per",
        "# variable, named as the variable in small letters.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        lines += [
            f"# {field.description}",
            f"{name.upper()}=" if default is None else f"# {name.upper()}={default}",
            "",
        ]
    return "\n".join(lines[:-1])


if __name__ == "__main__":
    print(example())
