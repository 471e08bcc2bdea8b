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
ALARM: Channel = partial(logger.error, "⚠️ %s: %s")

# Whether an alert is due on a channel. The lock is held until its message went out, so two senders cannot both send it.
# One that is over keeps its row, as sent before all time.
LOCK = "select pg_advisory_xact_lock(hashtextextended(:key || '@' || :channel, 0))"
STATE = """
select held_back, last_cause, last_sent_at > '-infinity' as stands,
    last_sent_at > clock_timestamp() - cast(:window as interval) as recent
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
OVER = """
update meta.alerts set last_sent_at = '-infinity', last_cause = null, held_back = 0
where alert_key = :key and channel = :channel
"""
STANDING = """
select alert_key, max(last_cause) as cause from meta.alerts where last_sent_at > '-infinity' and starts_with(alert_key, :prefix)
group by alert_key order by alert_key
"""


class AlertError(Exception):
    """A channel did not take an alert. The sensor's tick fails with it: silence must never look like health."""


@dataclass(frozen=True)
class Alert:
    """key: what makes two alerts the same one. cause: what raised it, where raising it twice must count once.

    page: of Dagster's UI, as a path. run_id: Dagster's run that it is about. once: never sent again while it stands.
    """

    key: str
    subject: str
    body: str
    cause: str | None = None
    page: str = ""
    run_id: str | None = None
    once: bool = False


# Puts one alert through one channel; whether something was sent.
Put = Callable[[Database, Settings, Alert, str, Channel], bool]


def notify(database: Database, settings: Settings, alerts: Iterable[Alert]) -> list[Alert]:
    """Send the alerts that a channel did not take within the window; those that were sent at all.

    What a channel refused is tried again at the next tick, on that channel alone; AlertError then, after all the others
    were told.
    """
    return put_each(database, settings, alerts, tell)


def notify_over(database: Database, settings: Settings, alerts: Iterable[Alert]) -> list[Alert]:
    """Tell every channel that took an alert of these keys that it is over; those that were sent at all. Raises as `notify`."""
    return put_each(database, settings, alerts, tell_over, partial(logger.info, "✅ %s: %s"))


def put_each(
    database: Database, settings: Settings, alerts: Iterable[Alert], put: Put, log: Channel = ALARM
) -> list[Alert]:
    sent = []
    refused: set[str] = set()
    for alert in alerts:
        taken = []
        for channel, send in channels(settings, log).items():
            try:
                if put(database, settings, alert, channel, send):
                    taken.append(channel)
            except (requests.RequestException, OSError, smtplib.SMTPException) as error:
                # The text of these errors may hold the webhook's secret address.
                refused.add(f"{channel} ({type(error).__name__})")
        if taken:
            sent.append(alert)
    if refused:
        raise AlertError(f"not every alert could be sent, by {', '.join(sorted(refused))}; it is tried again")
    return sent


def standing_alerts(database: Database, prefix: str) -> dict[str, str | None]:
    """Key -> cause of the alerts that some channel took and that are not over, by the beginning of their keys."""
    with database.transaction() as connection:
        rows = connection.execute(text(STANDING), {"prefix": prefix})
        return {row.alert_key: row.cause for row in rows}


def tell(database: Database, settings: Settings, alert: Alert, channel: str, send: Channel) -> bool:
    """Put one alert through one channel, unless it took the same within the window; whether it was sent."""
    values = {"key": alert.key, "channel": channel, "cause": alert.cause}
    with database.transaction() as connection:
        connection.execute(text(LOCK), values)
        window = timedelta(hours=settings.alert_repeat_hours)
        state = connection.execute(text(STATE), {**values, "window": window}).one_or_none()
        if state is not None and (state.recent or (alert.once and state.stands)):
            # A tick that failed at another alert meets the same causes once more.
            if alert.cause is None or alert.cause != state.last_cause:
                connection.execute(text(HELD_BACK), values)
            return False
        held_back = state.held_back if state is not None else 0
        again = f"Raised {held_back} more times since the last message." if held_back else ""
        send(alert.subject, message(settings, alert, again))
        connection.execute(text(SENT), values)
        return True


def tell_over(database: Database, settings: Settings, alert: Alert, channel: str, send: Channel) -> bool:
    """Tell one channel that an alert is over, where it stands there; whether it was sent."""
    values = {"key": alert.key, "channel": channel}
    with database.transaction() as connection:
        connection.execute(text(LOCK), values)
        state = connection.execute(text(STATE), {**values, "window": timedelta()}).one_or_none()
        if state is None or not state.stands:
            return False
        send(alert.subject, message(settings, alert))
        connection.execute(text(OVER), values)
        return True


def message(settings: Settings, alert: Alert, *more: str) -> str:
    """The body of an alert with its link, where the address of the UI is known."""
    link = f"{settings.dagster_ui_url.rstrip('/')}{alert.page}" if settings.dagster_ui_url and alert.page else ""
    return "\n".join(filter(None, [alert.body, link, *more]))


def channels(settings: Settings, log: Channel = ALARM) -> dict[str, Channel]:
    """The channels that are set, by name; the log always is."""
    found: dict[str, Channel] = {"log": log}
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
