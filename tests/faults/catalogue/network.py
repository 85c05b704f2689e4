"""2.5: what happens between us and the brokers, and between us and receivers."""

from __future__ import annotations

from .row import Row

_NETWORK = "faults/test_network.py::"

ROWS = (
    Row(
        "N1",
        "black hole",
        "an address behind which nobody answers; a proxy that swallows every byte",
        "a timeout of one budget, said so",
        (
            "kafka/test_probe_real.py::test_an_address_behind_which_nobody_is_times_out",
            _NETWORK + "test_n1_n4_a_broker_whose_answers_are_lost_is_a_timeout_and_nobody_waits_for_it",
        ),
    ),
    Row(
        "N2",
        "reset",
        "a port that nobody listens on; a proxy that resets",
        "refused or closed at once",
        (
            "kafka/test_session_real.py::test_a_dead_bootstrap_is_an_answer_and_costs_no_threads_and_no_descriptors",
            _NETWORK + "test_n2_connections_that_are_reset_are_said_and_made_anew",
        ),
    ),
    Row(
        "N3",
        "30 % loss",
        "a proxy that holds three chunks of ten back for 0.3 s, as retransmission does",
        "slower, still right",
        (_NETWORK + "test_n3_n5_n6_a_bad_line_is_slower_and_stays_right",),
        "No packets are dropped in the kernel: that needs the machine's firewall. What TCP makes of it is made.",
    ),
    Row(
        "N4",
        "one-way loss",
        "a proxy that takes requests and swallows answers",
        "as N1",
        (_NETWORK + "test_n1_n4_a_broker_whose_answers_are_lost_is_a_timeout_and_nobody_waits_for_it",),
    ),
    Row(
        "N5",
        "800 ms of latency, 20 kB/s",
        "a proxy that delays and slices",
        "known within the budget or not known with the reason; cycles never overlap",
        (_NETWORK + "test_n3_n5_n6_a_bad_line_is_slower_and_stays_right",),
    ),
    Row(
        "N6",
        "bytes trickle",
        "a proxy that passes one byte at a time",
        "the budget ends it, the number is not known",
        (
            _NETWORK + "test_n3_n5_n6_a_bad_line_is_slower_and_stays_right",
            "alerts/test_sender.py::test_a_receiver_that_trickles_is_cut_at_the_deadline",
        ),
    ),
    Row(
        "N7",
        "we see one broker of three",
        "proxies of two brokers swallow every byte",
        "a partial view with the brokers named as suspect from here, not as down",
        (_NETWORK + "test_n7_who_sees_one_broker_of_three_calls_the_others_suspect_and_not_down",),
    ),
    Row(
        "N8",
        "flapping link",
        "a proxy that is cut and mended six times",
        "suspect and up again each time, never down; the rule of a broker that is down stays quiet",
        (_NETWORK + "test_n8_a_flapping_link_is_never_a_broker_that_is_down",),
    ),
    Row(
        "N9",
        "DNS fails or changes",
        "a name that does not resolve; a name whose answer changes while connected",
        "said so; the new address is used",
        (
            "kafka/test_session_real.py::test_a_name_that_does_not_resolve_is_said_so",
            _NETWORK + "test_n9_a_name_that_moves_to_another_address_is_looked_up_again",
            "alerts/test_addresses.py::test_a_name_is_looked_up_once_and_its_checked_address_is_used",
        ),
    ),
    Row(
        "N10",
        "webhook receiver hangs, fails, trickles, redirects, closes",
        "scripted receivers",
        "retried with the same key, others not held up, no redirect followed",
        (
            "alerts/test_sender.py::test_a_passing_failure_is_retried_with_the_same_key",
            "alerts/test_sender.py::test_a_lasting_failure_is_dead_and_can_be_sent_again",
            "alerts/test_sender.py::test_a_slow_receiver_does_not_hold_up_another",
            "alerts/test_sender.py::test_a_broken_connection_is_retried_and_said",
            "alerts/test_sender.py::test_of_an_endless_answer_only_the_beginning_is_read",
            "alerts/test_sender.py::test_an_address_that_is_not_allowed_is_not_connected_to",
        ),
    ),
    Row(
        "N11",
        "SMTP accepts, then drops before the final OK",
        "a mail server that takes the message and hangs up before it says so",
        "not delivered, tried again",
        ("alerts/test_mail.py::test_a_server_that_takes_the_mail_and_hangs_up_has_not_delivered_it",),
    ),
    Row(
        "N12",
        "a proxy in front drops idle sockets",
        "nginx with a read timeout of 15 s",
        "no visible break",
        ("faults/test_nginx.py::test_the_live_line_passes_and_outlives_the_proxys_patience",),
    ),
)
