"""What forms about hours of the week share: days, a time of the day, a time zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time

from django import forms

from dashboard.alerts import hours

DAY_CHOICES = tuple((str(number), day) for number, day in enumerate(hours.DAYS))


class DaysField(forms.TypedMultipleChoiceField):
    """Days of the week as a sorted list of 0 (Monday) to 6; none chosen means every day."""

    def __init__(self) -> None:
        super().__init__(choices=DAY_CHOICES, coerce=int, required=False)

    def clean(self, value: Sequence[str] | None) -> list[int]:
        return sorted(set(super().clean(value)))


class ClockField(forms.CharField):
    """A time of the day like 22:30, 24-hour clock; None when nothing was typed."""

    def __init__(self, *, required: bool = True) -> None:
        super().__init__(max_length=8, strip=True, required=required)

    def clean(self, value: str | None) -> time | None:
        typed = super().clean(value)
        if not typed:
            return None
        match = re.fullmatch(r"([01]?\d|2[0-3])[:.]([0-5]\d)", typed)
        if match is None:
            raise forms.ValidationError(f"“{typed}” is no time of the day: write like 22:30.")
        return time(int(match[1]), int(match[2]))


class ZoneField(forms.CharField):
    """An IANA time zone."""

    def __init__(self) -> None:
        super().__init__(max_length=64, strip=True, required=False)

    def clean(self, value: str | None) -> str:
        typed = super().clean(value) or "UTC"
        try:
            hours.zone_of(typed)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return str(typed)
