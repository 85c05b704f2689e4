"""2.2: what happens to the database."""

from __future__ import annotations

from .row import Row

_STORE = "faults/test_storage.py::"
_SERVED = "faults/test_served_storage.py::"
_FILE = "faults/test_database_file.py::"
_POSTGRESQL = "Never made here: of PostgreSQL only its end is (D9)."

ROWS = (
    Row(
        "D1",
        "another process holds the writer's lock",
        "BEGIN IMMEDIATE in another process for 30 s, beside a running instance",
        "pages read as ever, the sampler says what it waits for, samples are stored afterwards with their own times",
        (
            _SERVED + "test_d1_a_database_locked_for_30_seconds_loses_no_sample_and_no_page",
            _STORE + "test_d1_what_could_not_be_stored_is_stored_later_with_its_own_time",
            _STORE + "test_d1_a_lease_that_lapsed_while_waiting_is_taken_again_unless_somebody_else_had_it",
            _STORE + "test_d1_what_waits_is_bounded_and_what_is_dropped_is_told",
        ),
    ),
    Row(
        "D2",
        "four writers contend",
        "four processes that read, then write, in transactions",
        "nothing is lost, no error",
        (_FILE + "test_d2_four_writers_lose_nothing",),
    ),
    Row(
        "D3",
        "disk full",
        "the data folder on a tmpfs of 24 MB that is filled; and max_page_count",
        "pages read on, what is not stored is said with the reason, the reserve is given up and retention frees "
        "space, samples go on, integrity_check ok",
        (
            _SERVED + "test_d3_a_full_disk_stops_no_page_and_retention_frees_space",
            _STORE + "test_d3_a_full_database_is_said_and_what_waits_is_stored_when_there_is_room",
            "faults/test_database_away.py::test_d3_whoever_signs_in_on_a_full_disk_is_told",
        ),
        "Alerts are not judged while nothing can be written: their states live in the database.",
    ),
    Row(
        "D4",
        "kill -9 during a write",
        "20 kills of a whole instance; 60 kills of a process that stores cycles without a pause",
        "whole cycles only, integrity_check ok",
        (
            "e2e/test_kill_serve.py::test_twenty_kills_leave_no_half_cycle_and_no_doubled_transition",
            _FILE + "test_d4_a_process_killed_while_it_stores_leaves_whole_cycles",
        ),
    ),
    Row(
        "D5",
        "the WAL grows under a long reader",
        "a read transaction left open while cycles are stored",
        "the size is shown with the WAL; it shrinks when the reader ends",
        (_FILE + "test_d5_the_wal_that_a_long_reader_holds_is_shown_and_shrinks_afterwards",),
    ),
    Row(
        "D6",
        "file or folder cannot be written",
        "an immutable or read-only database file",
        "the start refuses with the path and the fix, exit 2",
        (_FILE + "test_d6_a_database_that_cannot_be_written_is_refused_at_start",),
    ),
    Row(
        "D7",
        "database file deleted under a running instance",
        "rm of the file",
        "the process ends with a message and exit code 70, so that a supervisor starts it anew",
        (_SERVED + "test_d7_a_database_that_is_deleted_ends_the_process",),
    ),
    Row(
        "D8",
        "corrupt page",
        "pages in the middle of the file overwritten",
        "no page shows what is not so: it answers as ever or with 503 in words; the doctor names the damage",
        (
            _FILE + "test_d8_a_corrupt_database_is_named_and_no_page_makes_things_up",
            "faults/test_database_away.py::test_d8_a_page_without_its_database_says_why_and_comes_back",
            "history/test_frames.py::test_a_damaged_frame_is_unknown_and_never_zero",
            "history/test_segment_codec.py::test_any_changed_byte_is_noticed",
        ),
    ),
    Row(
        "D9",
        "PostgreSQL killed",
        "ended for a minute beside two web and two workers",
        "pages say so, nothing is half written, reconnected by itself",
        ("processes/test_bad_days.py::test_with_postgres_away_for_a_minute_pages_say_so_and_nothing_is_half_written",),
    ),
    Row("D10", "PostgreSQL frozen", "", "", miss=_POSTGRESQL),
    Row("D11", "PostgreSQL fails over, is read-only or has no connection left", "", "", miss=_POSTGRESQL),
    Row("D12", "PostgreSQL deadlock or serialisation error", "", "", miss=_POSTGRESQL),
    Row(
        "D13",
        "migration fails half-way",
        "kill -9 in the middle of the migrations of an empty database",
        "the next start finishes them; a newer schema is named by the doctor",
        (_FILE + "test_d13_a_migration_that_is_killed_is_finished_by_the_next_start",),
    ),
    Row(
        "D14",
        "clock of the database's host differs",
        "",
        "",
        miss="SQLite has no host of its own. " + _POSTGRESQL,
    ),
    Row(
        "D15",
        "retention on many rows",
        "26,000 frames to delete while another connection writes",
        "99 of 100 writes wait less than 200 ms, none a second",
        (_FILE + "test_d15_retention_never_holds_the_writer_for_long",),
        "Not with 100 million rows.",
    ),
)
