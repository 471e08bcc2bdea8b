"""The one notifier: every alert goes to the log and to the channels that are set, the same alert once per window.

Alerts hold names of jobs, tables and checks, and counts; never row contents.
"""

import logging
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from functools import partial

import requests
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.settings import Settings

logger = logging.getLogger(__name__)

CHANNEL_SECONDS = 15.0

Channel = Callable[[str, str], object]

# Whether an alert is due on a channel. The lock is held until its message went out, so two senders cannot both send it.
LOCK = "select pg_advisory_xact_lock(hashtextextended(:key || '@' || :channel, 0))"
STATE = """
select held_back, last_cause, last_sent_at > clock_timestamp() - cast(:window as interval) as recent
from meta.alerts where alert_key = :key and channel = :channel
"""
SENT = """
insert into meta.alerts (alert_key, channel, last_sent_at, last_cause) values (:key, :channel, clock_timestamp(), :cause)
on conflict (alert_key, channel) do update
set last_sent_at = excluded.last_sent_at, last_cause = excluded.last_cause, held_back = 0
"""
HELD_BACK = """
update meta.alerts set held_back = held_back + 1, last_cause = :cause where alert_key = :key and channel = :channel
"""


class AlertError(Exception):
    """A channel did not take an alert. The sensor's tick fails with it: silence must never look like health."""


@dataclass(frozen=True)
class Alert:
    """key: what makes two alerts the same one. cause: what raised it, where raising it twice must count once."""

    key: str
    subject: str
    body: str
    cause: str | None = None


def notify(database: Database, settings: Settings, alerts: Iterable[Alert]) -> int:
    """Send the alerts that a channel did not take within the window; how many were sent at all.

    What a channel refused is tried again at the next tick, on that channel alone; AlertError then, after all the others
    were told.
    """
    sent = 0
    refused: set[str] = set()
    for alert in alerts:
        taken = []
        for channel, send in channels(settings).items():
            try:
                if tell(database, settings, alert, channel, send):
                    taken.append(channel)
            except (requests.RequestException, OSError, smtplib.SMTPException) as error:
                # The text of these errors may hold the webhook's secret address.
                refused.add(f"{channel} ({type(error).__name__})")
        sent += bool(taken)
    if refused:
        raise AlertError(f"not every alert could be sent, by {', '.join(sorted(refused))}; it is tried again")
    return sent


def tell(database: Database, settings: Settings, alert: Alert, channel: str, send: Channel) -> bool:
    """Put one alert through one channel, unless it took the same within the window; whether it was sent."""
    values = {"key": alert.key, "channel": channel, "cause": alert.cause}
    with database.transaction() as connection:
        connection.execute(text(LOCK), values)
        window = timedelta(hours=settings.alert_repeat_hours)
        state = connection.execute(text(STATE), {**values, "window": window}).one_or_none()
        if state is not None and state.recent:
            # A tick that failed at another alert meets the same causes once more.
            if alert.cause is None or alert.cause != state.last_cause:
                connection.execute(text(HELD_BACK), values)
            return False
        held_back = state.held_back if state is not None else 0
        send(
            alert.subject,
            alert.body + (f"\nRaised {held_back} more times since the last message." if held_back else ""),
        )
        connection.execute(text(SENT), values)
        return True


def channels(settings: Settings) -> dict[str, Channel]:
    """The channels that are set, by name; the log always is."""
    found: dict[str, Channel] = {"log": lambda subject, body: logger.error("⚠️ %s: %s", subject, body)}
    if settings.alert_webhook_url is not None:
        found["webhook"] = partial(post, settings)
    if settings.alert_smtp_host and settings.alert_email_to:
        found["mail"] = partial(mail, settings)
    return found


def post(settings: Settings, subject: str, body: str) -> None:
    """Post one message to the webhook."""
    assert settings.alert_webhook_url is not None
    answer = requests.post(
        settings.alert_webhook_url.get_secret_value(), json={"text": f"{subject}\n{body}"}, timeout=CHANNEL_SECONDS
    )
    answer.raise_for_status()


def mail(settings: Settings, subject: str, body: str) -> None:
    """Hand one message to the relay."""
    assert settings.alert_smtp_host is not None
    assert settings.alert_email_to is not None
    message = EmailMessage()
    message["From"], message["To"] = settings.alert_email_from, settings.alert_email_to
    message["Subject"] = f"[hub] {subject}"
    message.set_content(body)
    with smtplib.SMTP(settings.alert_smtp_host, settings.alert_smtp_port, timeout=CHANNEL_SECONDS) as relay:
        # Raises where the relay refuses every receiver; where it refuses some, it only says so.
        if refused := relay.send_message(message):
            raise smtplib.SMTPRecipientsRefused(refused)
