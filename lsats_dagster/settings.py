"""Every setting of the hub: one typed, explained field per environment variable. Those of a source stand in its own file.

The field name in upper case is the variable's name. `.env.example` is written from these classes, and a test compares the two.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

REPOSITORY = Path(__file__).resolve().parent.parent
SQL_ROOT = REPOSITORY / "sql"


class ConfigurationError(Exception):
    """A setting is missing or unusable. The message names every variable concerned and never holds a value."""


class Variables(BaseSettings):
    """Settings from the environment, then `.env` in the working directory, then systemd's credential files."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def trimmed(cls, values: dict[str, object]) -> dict[str, object]:
        """A line end behind a secret, as files have it, is no part of it; what is blank is not set."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}


class SourceSettings(Variables):
    """Settings of one source. A subclass has a field per variable.

    ways: what the source cannot work without. Every inner tuple is one complete way; the first complete one is taken.
    The first variable of each way is the source's address.
    """

    ways: ClassVar[tuple[tuple[str, ...], ...]]

    @classmethod
    def address(cls) -> str:
        """Name of the field that says where the source is."""
        return cls.ways[0][0]

    @property
    def is_set_up(self) -> bool:
        """Whether any variable of the ways is set; a source with none is one that the hub does without."""
        return any(getattr(self, name) for way in self.ways for name in way)

    @property
    def missing(self) -> list[str]:
        """Names of the variables still needed, by the way of which most is set; of several such ways by the first."""
        lacking = [[name.upper() for name in way if not getattr(self, name)] for way in self.ways]
        given = [len(way) - len(lacks) for way, lacks in zip(self.ways, lacking, strict=True)]
        return [] if not all(lacking) else lacking[given.index(max(given))]


class Settings(Variables):
    """The hub's own configuration."""

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

    http_connect_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection to a source.")
    http_read_seconds: float = Field(120.0, gt=0, description="Longest silence within an answer of a source.")
    http_answer_seconds: float = Field(600.0, gt=0, description="Longest time for one whole answer of a source.")
    http_list_megabytes: int = Field(1024, gt=0, description="Largest list in one answer of a source, unpacked.")
    http_record_megabytes: int = Field(16, gt=0, description="Largest single record of a source, unpacked.")

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

    def require_database(self) -> str:
        """DATABASE_URL; ConfigurationError when it is not set."""
        if self.database_url is None:
            raise ConfigurationError(needed(["DATABASE_URL"], "the database"))
        return self.database_url.get_secret_value()


def needed(names: Sequence[str], purpose: str) -> str:
    """The sentence about variables that are not set."""
    return (
        f"{', '.join(names)} not set, needed for {purpose}: "
        "set them in the environment or in .env (.env.example explains each)"
    )


V = TypeVar("V", bound=Variables)


def load(kind: type[V]) -> V:
    """The settings of this moment; ConfigurationError names every variable that cannot be used."""
    try:
        # The service manager's folder of secrets, one file per variable, named as the field.
        return kind(_secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY"))
    except ValidationError as error:
        problems = [
            # What is wrong with several variables together names them itself.
            ": ".join([*(str(name).upper() for name in e["loc"]), e["msg"].removeprefix("Value error, ")])
            for e in error.errors(include_input=False)
        ]
        raise ConfigurationError(f"unusable settings: {'; '.join(problems)}") from None


def load_settings() -> Settings:
    """The hub's own settings of this moment; ConfigurationError names every variable that cannot be used."""
    return load(Settings)


def file_variables(kinds: Iterable[type[Variables]]) -> dict[str, str]:
    """The variables of `kinds` that `.env` in the working directory gives, for programs that work elsewhere."""
    found: dict[str, str] = {}
    for kind in kinds:
        given = DotEnvSettingsSource(kind).env_vars
        found |= {name.upper(): value for name in kind.model_fields if (value := given.get(name))}
    return found


def example(kinds: Iterable[type[Variables]]) -> str:
    """The text of `.env.example`: every variable of `kinds` with its meaning and default."""
    lines = [
        "# Settings of the hub. Copy to .env and fill in what you need; nothing is needed for `make demo`.",
        "# The environment wins over this file. Secrets belong in the environment, or in systemd's credential files: one per",
        "# variable, named as the variable in small letters.",
        "",
    ]
    for name, field in (item for kind in kinds for item in kind.model_fields.items()):
        default = field.get_default()
        lines += [
            f"# {field.description}",
            f"# {name.upper()}={default}" if default or default == 0 else f"{name.upper()}=",
            "",
        ]
    return "\n".join(lines[:-1])
