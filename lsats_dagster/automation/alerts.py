"""The one notifier: every alert goes to the log and to the channels that are set, the same alert once per window.

Alerts hold names of jobs, tables and checks, and counts; never row contents.
"""

import logging
import smtplib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage

import requests
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.settings import Settings

logger = logging.getLogger(__name__)

CHANNEL_SECONDS = 15.0

# Whether an alert is due. A row is locked until its message went out, so two senders cannot both send it.
STATE = """
select held_back, last_cause, last_sent_at > clock_timestamp() - cast(:window as interval) as recent
from meta.alerts where alert_key = :key for update
"""
SENT = """
insert into meta.alerts (alert_key, last_sent_at, last_cause) values (:key, clock_timestamp(), :cause)
on conflict (alert_key) do update
set last_sent_at = excluded.last_sent_at, last_cause = excluded.last_cause, held_back = 0
"""
HELD_BACK = "update meta.alerts set held_back = held_back + 1, last_cause = :cause where alert_key = :key"


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
    """Send the alerts that were not sent within the window; how many were sent. AlertError when a channel fails.

    An alert counts as sent after every channel took it; one that failed is tried again at the next tick.
    """
    sent = 0
    for alert in alerts:
        with database.transaction() as connection:
            window = timedelta(hours=settings.alert_repeat_hours)
            state = connection.execute(text(STATE), {"key": alert.key, "window": window}).one_or_none()
            if state is not None and state.recent:
                # A tick that failed at a later alert meets the same causes once more.
                if alert.cause is None or alert.cause != state.last_cause:
                    connection.execute(text(HELD_BACK), {"key": alert.key, "cause": alert.cause})
                continue
            held_back = state.held_back if state is not None else 0
            send(settings, alert, held_back)
            connection.execute(text(SENT), {"key": alert.key, "cause": alert.cause})
            sent += 1
    return sent


def send(settings: Settings, alert: Alert, held_back: int) -> None:
    """Put one alert through every channel."""
    body = alert.body + (f"\nRaised {held_back} more times since the last message." if held_back else "")
    logger.error("⚠️ %s: %s", alert.subject, body)
    try:
        if settings.alert_webhook_url is not None:
            answer = requests.post(
                settings.alert_webhook_url.get_secret_value(),
                json={"text": f"{alert.subject}\n{body}"},
                timeout=CHANNEL_SECONDS,
            )
            answer.raise_for_status()
        if settings.alert_smtp_host and settings.alert_email_to:
            mail(settings, f"[hub] {alert.subject}", body)
    except (requests.RequestException, OSError, smtplib.SMTPException) as error:
        # The text of these errors may hold the webhook's secret address.
        raise AlertError(f"an alert could not be sent ({type(error).__name__}); it is tried again") from None


def mail(settings: Settings, subject: str, body: str) -> None:
    """Hand one message to the relay."""
    assert settings.alert_smtp_host is not None
    assert settings.alert_email_to is not None
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.alert_email_from, settings.alert_email_to, subject
    message.set_content(body)
    with smtplib.SMTP(settings.alert_smtp_host, settings.alert_smtp_port, timeout=CHANNEL_SECONDS) as relay:
        relay.send_message(message)
