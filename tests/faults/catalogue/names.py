"""3.4: names, records and headers that come from Kafka."""

from __future__ import annotations

from .row import Row

_TOPICS = "faults/test_kafka_topics.py::"
_GROUPS = "faults/test_kafka_groups.py::"
_INBOX = "No value, key or header is read yet (of one record the timestamp is); comes with the dead-letter inbox."

ROWS = (
    Row(
        "T1",
        "topics a.b and a_b",
        "names in the inventory and in /metrics (Kafka refuses the second one)",
        "two topics, never merged",
        (
            "metrics/test_text.py::test_different_names_never_become_one_label",
            "faults/test_strange_answers.py::test_t1_t2_names_that_collide_elsewhere_are_two_here",
        ),
    ),
    Row(
        "T2",
        "topics __proto__, constructor, toString",
        "on the real Kafka and in the inventory",
        "text like any other, in pages, search and live rows",
        ("faults/test_strange_answers.py::test_t1_t2_names_that_collide_elsewhere_are_two_here",),
    ),
    Row(
        "T3",
        "groups with HTML, quotes, newlines, right-to-left marks, 32 kB, nothing",
        "committed under such names on the real Kafka",
        "escaped on every page, found under their address, one line in the log",
        (
            _GROUPS + "test_t3_groups_with_names_of_any_kind_have_pages_and_lag",
            "pages/test_pages.py::test_names_from_strangers_stay_text",
            "pages/test_names.py::test_any_text_comes_back",
            "domain/test_verdicts.py::test_names_in_a_sentence_are_escaped_once_and_numbers_are_not",
        ),
    ),
    Row(
        "T4",
        "such a group as a metric label, a lone surrogate",
        "names in /metrics; a commit under bytes that are no UTF-8 on the real Kafka",
        "one valid line each; the bad byte replaced, everybody else as ever",
        (
            "metrics/test_page.py::test_hostile_names_make_one_valid_line_each",
            "faults/test_kafka_groups.py::test_t4_a_group_committed_under_bytes_that_are_no_text_spoils_nothing",
            "sampler/test_inventory.py::test_names_that_no_database_takes_do_not_break_the_cycle",
        ),
    ),
    Row("T5", "header key that is not UTF-8", "", "", miss=_INBOX),
    Row("T6", "10,000 headers, 1 MB header", "", "", miss=_INBOX),
    Row("T7", "value of 100 MB, empty, tombstone", "", "", miss=_INBOX),
    Row("T8", "JSON that breaks parsers", "", "", miss=_INBOX),
    Row("T9", "Avro bombs", "", "", miss=_INBOX),
    Row("T10", "Protobuf bombs", "", "", miss=_INBOX),
    Row("T11", "compression bomb", "", "", miss=_INBOX),
    Row("T12", "record that looks like HTML", "", "", miss=_INBOX),
    Row("T13", "stack trace with secrets in a header", "", "", miss=_INBOX),
    Row(
        "T14",
        "timestamps −1, 0, 2^63−1",
        "such a timestamp from the record that *How we know* reads",
        "the age is unknown, with the timestamp; no page fails",
        ("pages/test_how.py::test_c5_t14_a_timestamp_that_no_clock_told_makes_no_age",),
    ),
    Row("T15", "schema registry that answers nonsense", "", "", miss=_INBOX),
    Row("T16", "serialised Java object", "", "", miss=_INBOX),
)
