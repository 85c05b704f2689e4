"""2.7: clocks that step, differ or lie."""

from __future__ import annotations

from .row import Row

_CLOCK = "faults/test_clock.py::"

ROWS = (
    Row(
        "C1",
        "the clock steps forward by an hour",
        "the sampler's clock interface, and the lease moved by the same hour; a whole instance stopped for a minute "
        "by SIGSTOP, as a laptop that sleeps",
        "an event, the next cycle at once, no rate and no hold counts the hour, the lease goes on; one gap, no alert",
        (
            "faults/test_served_storage.py::test_a_machine_that_sleeps_for_a_minute_wakes_up_with_one_gap_and_no_alert",
            _CLOCK + "test_c1_c2_a_clock_that_steps_is_an_event_and_cycles_go_on",
            _CLOCK + "test_c1_an_hour_that_was_leapt_over_fires_nothing",
            "alerts/test_judge.py::test_a_wall_clock_that_steps_blinds_nobody",
        ),
    ),
    Row(
        "C2",
        "the clock steps back by an hour",
        "the sampler's clock interface, and the lease moved by the same hour",
        "an event, order kept by the cycle's number, no negative rate, nothing overwritten; a lease of the future "
        "holds nobody up",
        (
            _CLOCK + "test_c1_c2_a_clock_that_steps_is_an_event_and_cycles_go_on",
            _CLOCK + "test_c2_a_lease_from_the_future_is_no_lease",
            "alerts/test_rules.py::test_a_clock_that_steps_back_never_fires_or_resolves_early",
            "history/test_curves.py::test_a_clock_that_steps_back_makes_no_nonsense",
            "history/test_frames.py::test_a_clock_that_stepped_back_keeps_what_is_needed",
            "domain/test_verdicts.py::test_a_clock_that_steps_back_starts_the_window_afresh",
        ),
    ),
    Row(
        "C3",
        "a broker's clock is two days ahead",
        "",
        "",
        miss="Nothing that is asked of a broker carries its clock, so there is no skew to show and no age to be "
        "wrong; comes with the reading of records.",
    ),
    Row(
        "C4",
        "daylight saving, leap day, another time zone",
        "the process in four time zones; a range over a leap day and over the lost hour",
        "the same instants in every zone",
        (_CLOCK + "test_c4_the_zone_of_the_machine_changes_no_instant",),
    ),
    Row(
        "C5",
        "record timestamps 0, −1, year 9999",
        "such a timestamp from the record that *How we know* reads",
        "the age is unknown, with the timestamp; no page fails",
        ("pages/test_how.py::test_c5_t14_a_timestamp_that_no_clock_told_makes_no_age",),
    ),
)
