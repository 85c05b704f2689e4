"""Rules, the state of each alert, its transitions, and what is told to whom."""

from __future__ import annotations

from django.db import models

from collectors.models import Cluster


class Rule(models.Model):
    key = models.SlugField(max_length=60, unique=True)  # label `rule` of the metrics, stable
    name = models.CharField(max_length=120)
    is_enabled = models.BooleanField(default=True)
    quantity = models.CharField(max_length=60)  # dashboard.alerts.rules.Quantity
    selector = models.JSONField(default=dict)  # {"cluster": "*", "group": "*", ...} globs
    comparison = models.CharField(max_length=4, default=">")
    threshold = models.FloatField()
    recover_level = models.FloatField(null=True)
    hold_seconds = models.FloatField(default=0)
    recover_seconds = models.FloatField(default=0)
    severity = models.CharField(max_length=10)  # "info", "warning", "critical"
    no_data = models.CharField(max_length=10, default="keep")  # "keep", "ok", "alert"
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.name


class Judgement(models.Model):
    """How far the judge has come with a cluster; moved by compare-and-set from n-1 to n."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True)
    judged_cycle = models.BigIntegerField(default=0)
    judged_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"cluster {self.cluster_id} judged to cycle {self.judged_cycle}"


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> AlertQuerySet:
        """Incidents that go on, told or not."""
        return self.exclude(state="resolved")

    def raised(self) -> AlertQuerySet:
        """What people have been told and not yet told to be over: what pages and metrics count as firing."""
        return self.filter(state__in=["firing", "recovering", "no_data"])


class Alert(models.Model):
    """One incident of one rule and subject, from its first breach to its end."""

    class State(models.TextChoices):
        PENDING = "pending"
        FIRING = "firing"
        RECOVERING = "recovering"
        RESOLVED = "resolved"
        NO_DATA = "no_data"

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="alerts")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="alerts")
    subject_kind = models.CharField(max_length=10)  # "cluster", "broker", "topic", "group"
    subject = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=12, choices=State)
    severity = models.CharField(max_length=10)
    sentence = models.TextField()
    memory = models.JSONField(default=dict)  # what rules.step needs next time
    started_at = models.DateTimeField()  # first breach
    fired_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    is_held_back = models.BooleanField(default=False)  # it fired, and nobody has been told so far
    held_reason = models.TextField(blank=True)  # why it is held back, or was: a silence, maintenance, a cause
    held_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="holds")  # the cause

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-changed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "cluster", "subject_kind", "subject"],
                condition=~models.Q(state="resolved"),
                name="one_open_alert_per_subject",
            )
        ]
        indexes = [models.Index(fields=["state", "cluster"])]

    def __str__(self) -> str:
        return self.sentence


class Transition(models.Model):
    """A change of state as a row, with its reason and numbers; the id is the live sequence of events.

    An acknowledgement is one too (`new_state` "acknowledged"; the alert's own state stays), so that every page hears.
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="transitions")
    at = models.DateTimeField()
    cycle = models.BigIntegerField(null=True)  # None: stepped by the clock
    old_state = models.CharField(max_length=12, blank=True)
    new_state = models.CharField(max_length=12)
    reason = models.TextField()
    numbers = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.old_state or 'new'} to {self.new_state}: {self.reason}"
