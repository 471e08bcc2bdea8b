"""Every setting of the hub: one typed, explained field per environment variable. Those of a source stand in its own file.

The field name in upper case is the variable's name. `.env.example` is written from these classes, and a test compares the two.
"""

import io
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from lsats_dagster.clients.addresses import is_host, may_be_called

REPOSITORY = Path(__file__).resolve().parent.parent
SQL_ROOT = REPOSITORY / "sql"


class ConfigurationError(Exception):
    """A setting is missing or unusable. The message names every variable concerned and never holds a value."""


def folder(value: Path) -> Path:
    if value.parts[:1] and value.parts[0].startswith("~"):
        raise ValueError("begins with ~, which only a shell understands: write the whole path")
    if any(len(os.fsencode(part)) > 255 for part in value.parts) or len(os.fsencode(value)) > 1024:
        raise ValueError("is longer than a path may be")
    return value


def http_address(value: str) -> str:
    if not may_be_called(value):
        raise ValueError(
            "must be an https address (http on loopback only) with a host and without user, query or fragment"
        )
    return value


def webhook(value: SecretStr) -> SecretStr:
    if not may_be_called(value.get_secret_value(), with_query=True):
        raise ValueError("must be an https address (http on loopback only) with a host and without user or fragment")
    return value


def host(value: str) -> str:
    if not is_host(value):
        raise ValueError("must be a host: a name or an address")
    return value


def mail_addresses(value: str) -> str:
    if not all(re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address) for _, address in getaddresses([value])):
        raise ValueError("must be a mail address, name@host; of several, separated by commas, each one")
    return value


def postgres_address(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    login, at, rest = text.partition("://")[2].partition("@")
    if at and ("@" in rest or set("/?#") & set(login)):
        # It would be cut in the wrong place, and the rest of a password taken for the host, which errors quote.
        raise ValueError("holds @, /, ? or # within the login or password: write them as %40, %2F, %3F, %23")
    if not is_postgres_address(text):
        raise ValueError("is not a Postgres address, postgresql://user:password@host:port/name")
    return value


def is_postgres_address(text: str) -> bool:
    """Whether the drivers can take it: each part is what it should be, in the query as well."""
    try:
        url = make_url(text)
        # SQLAlchemy's own reading: what the query says of host, port and login wins.
        parts = url.set(drivername="postgresql+psycopg").get_dialect()().create_connect_args(url)[1]
        ports = [int(port) for port in str(parts.get("port", url.port)).split(",") if port not in ("", "None")]
    except (ValueError, TypeError, SQLAlchemyError):
        return False
    sound = all(isinstance(part, int) or (isinstance(part, str) and is_text(part)) for part in parts.values())
    return url.get_backend_name() in ("postgresql", "postgres") and sound and all(0 < p < 65536 for p in ports)


def storage_address(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("postgresql+psycopg2://"):
        raise ValueError("must begin with postgresql+psycopg2://, the driver that Dagster brings")
    return postgres_address(value)


def is_text(value: str) -> bool:
    """Whether all of it are characters: nothing that controls a terminal, nothing that was not UTF-8."""
    return all(unicodedata.category(sign) not in ("Cc", "Cs") and sign != "\N{REPLACEMENT CHARACTER}" for sign in value)


# The kinds of variables that are more than text or a number.
Folder = Annotated[Path, AfterValidator(folder)]
HttpAddress = Annotated[str, AfterValidator(http_address)]
Webhook = Annotated[SecretStr, AfterValidator(webhook)]
Host = Annotated[str, AfterValidator(host)]
MailAddresses = Annotated[str, AfterValidator(mail_addresses)]
PostgresAddress = Annotated[SecretStr, AfterValidator(postgres_address)]
StorageAddress = Annotated[SecretStr, AfterValidator(storage_address)]
# A day; the drivers count in milliseconds of 32 bits.
Seconds = Annotated[float, Field(ge=0, le=86_400)]


def in_env_file() -> dict[str, str]:
    """What `.env` in the working directory gives, by names in small letters: as written, nothing is expanded.

    ConfigurationError when it cannot be read.
    """
    lines = list(parse_stream(io.StringIO(text_of(Path(".env"), "the file .env in this folder"))))
    if unreadable := [binding.original.line for binding in lines if binding.error]:
        raise ConfigurationError(f"line {unreadable[0]} of .env cannot be read: write NAME='value', and close quotes")
    return {binding.key.lower(): binding.value for binding in lines if binding.key and binding.value}


def in_credential_files(names: Iterable[str]) -> dict[str, str]:
    """What the service manager's folder of secrets gives: one file per variable, named as the field."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return (
        {name: text_of(Path(folder, name), f"the credential file of {name.upper()}") for name in names}
        if folder
        else {}
    )


def text_of(path: Path, called: str) -> str:
    """The text of a file, empty when there is none. Editors of some systems begin a file with a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError as error:
        raise ConfigurationError(f"{called} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{called} is not in UTF-8: save it in UTF-8") from None


class Variables(BaseSettings):
    """Settings from the environment, then `.env` in the working directory, then systemd's credential files."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, validate_default=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our own reading of both kinds of files, which quotes nothing and changes nothing."""
        files = in_env_file(), in_credential_files(settings_cls.model_fields)
        return (init_settings, env_settings, *(InitSettingsSource(settings_cls, dict(given)) for given in files))

    @model_validator(mode="before")
    @classmethod
    def trimmed(cls, values: dict[str, object]) -> dict[str, object]:
        """A line end behind a secret, as files have it, is no part of it; what is blank is not set."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("*", mode="before")
    @classmethod
    def is_text(cls, value: object) -> object:
        if isinstance(value, str) and not is_text(value):
            raise ValueError("holds control characters, or bytes that are not UTF-8")
        return value


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

    database_url: PostgresAddress | None = Field(
        None,
        description="The hub's database, postgresql://user:password@host:port/name. `lsats demo` starts its own.",
    )
    database_admin_url: PostgresAddress | None = Field(
        None,
        description="Used by `lsats db upgrade` in place of DATABASE_URL, where the service login may not migrate.",
    )
    lsats_home: Folder = Field(Path(".lsats"), description="Folder of everything the hub keeps on this machine.")
    lsats_pg_bin: Folder | None = Field(
        None,
        description="Folder with initdb and postgres (16 or newer) for the embedded server; default: the package's.",
    )

    dagster_home: Folder | None = Field(
        None, description="Folder of Dagster's instance; default: dagster within LSATS_HOME."
    )
    dagster_pg_url: StorageAddress | None = Field(
        None,
        description="Dagster's own storage, postgresql+psycopg2://user:password@host:port/name; default: the database dagster "
        "on the server of DATABASE_URL. Dagster's own programs need it in the environment.",
    )

    dagster_ui_url: HttpAddress | None = Field(
        None,
        description="Address of Dagster's UI as people reach it, https://hub.example.edu; alerts link to it, and the UI "
        "answers to its host.",
    )

    http_connect_seconds: Seconds = Field(10.0, gt=0, description="Longest wait for a connection to a source.")
    http_read_seconds: Seconds = Field(120.0, gt=0, description="Longest silence within an answer of a source.")
    http_answer_seconds: Seconds = Field(600.0, gt=0, description="Longest time for one whole answer of a source.")
    http_list_megabytes: int = Field(
        1024, gt=0, le=1_048_576, description="Largest list in one answer of a source, unpacked."
    )
    http_record_megabytes: int = Field(
        16, gt=0, le=1_048_576, description="Largest single record of a source, unpacked."
    )

    detail_max_age_days: float = Field(30.0, gt=0, le=36_500, description="A detail older than this is fetched again.")
    detail_budget_minutes: int = Field(
        25, gt=0, le=1_440, description="A run begins no detail call after so many minutes; backfills go on to the end."
    )
    detail_workers: int = Field(
        3, ge=1, le=16, description="Detail calls of one stream that are under way at the same time."
    )
    batch_size: int = Field(10_000, ge=1, le=20_000, description="Records compared and written at once.")
    lock_wait_seconds: Seconds = Field(600.0, description="Longest wait for another writer of the same table.")
    alert_webhook_url: Webhook | None = Field(
        None, description="Alerts are posted here as JSON with a field text, as chat systems take it."
    )
    alert_smtp_host: Host | None = Field(
        None, description="Plain mail relay for alerts; no login. Goes with ALERT_EMAIL_TO."
    )
    alert_smtp_port: int = Field(25, gt=0, lt=65536, description="Port of the mail relay.")
    alert_email_from: MailAddresses = Field("lsats-hub@localhost", description="Sender of alerts.")
    alert_email_to: MailAddresses | None = Field(None, description="Receivers of alerts, separated by commas.")
    alert_repeat_hours: float = Field(
        12.0, gt=0, le=8_760, description="The same alert is sent again only after so long."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line logged.")

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
        return kind()
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
    given = in_env_file()
    return {name.upper(): given[name] for kind in kinds for name in kind.model_fields if name in given}


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
