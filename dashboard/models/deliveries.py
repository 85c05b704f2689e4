"""Channels that are told, and the outbox."""

from __future__ import annotations

from django.db import models

from .alerts import Alert


class Channel(models.Model):
    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        EMAIL = "email", "E-mail"
        SLACK = "slack", "Slack"
        SLACK_WEBHOOK = "slack_webhook", "Slack, incoming webhook"
        PAGERDUTY = "pagerduty", "PagerDuty"
        ALERTMANAGER = "alertmanager", "Alertmanager"
        TEAMS = "teams", "Microsoft Teams"
        APPRISE = "apprise", "Other service"

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=20, choices=Kind)
    is_enabled = models.BooleanField(default=True)
    settings_encrypted = models.BinaryField()  # what the kind's form asks for, by collectors.secrets
    target = models.CharField(max_length=300)  # the address without secrets, for people
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """A message to one channel: written with the transition, sent by the sender, its answer recorded."""

    class State(models.TextChoices):
        WAITING = "waiting"
        CLAIMED = "claimed"
        DELIVERED = "delivered"
        DEAD = "dead"
        SKIPPED = "skipped"  # no longer needed before it was tried; `last_error` says why

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    # the first of `alerts`; None: a test
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="deliveries")
    alerts = models.ManyToManyField(Alert, related_name="messages")
    event = models.CharField(max_length=20)  # "firing", "resolved", "acknowledged", "taken_back", "test"
    # What belongs together at the receiver: one Slack message, one thread of mails, one incident.
    thread = models.CharField(max_length=80, blank=True, db_index=True)
    receipt = models.JSONField(default=dict)  # what the receiver gave for later messages of the thread
    idempotency_key = models.CharField(max_length=80, unique=True)
    payload = models.JSONField()
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    attempts = models.IntegerField(default=0)
    repeats_unanswered = models.IntegerField(default=0)  # sent again because no answer was recorded
    next_attempt_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True)  # it waits on purpose: for the hours of a route, or to be gathered
    renew_at = models.DateTimeField(null=True)  # delivered, and to be told again: the receiver forgets
    claimed_by = models.CharField(max_length=120, blank=True)
    claimed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    last_status = models.IntegerField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["state", "next_attempt_at"])]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel_id}: {self.state}"


class NotificationCount(models.Model):
    """Outcomes of attempts, counted per channel: deliveries are deleted in time, and a counter must not fall."""

    class Outcome(models.TextChoices):
        DELIVERED = "delivered"
        RETRIED = "retried"  # failed, will be tried again
        DEAD = "dead"
        UNANSWERED = "unanswered"  # no answer was recorded: sent again with the same key

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="counts")
    outcome = models.CharField(max_length=12, choices=Outcome)
    count = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["channel", "outcome"]
        constraints = [models.UniqueConstraint(fields=["channel", "outcome"], name="one_count_per_outcome")]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.outcome}: {self.count}"
