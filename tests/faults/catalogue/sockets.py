"""3.2: frames and handshakes."""

from __future__ import annotations

from .row import Row

_S = "faults/test_sockets.py::"
_NONSENSE = _S + "test_nonsense_closes_the_socket_at_once"
_ATTACK = _S + "test_an_offender_is_gone_in_time_and_nobody_else_notices"
_CODES = "Daphne sends only 1000 and 3000 to 4999, and autobahn drops the line at a breach of the protocol."

ROWS = (
    Row(
        "W1",
        "no, foreign or broken Origin",
        "handshakes to a running instance",
        "403 or 400, one line in the log",
        (
            _S + "test_a_foreign_origin_is_refused_in_one_line",
            "live/test_origin.py::test_all_others_are_refused_with_a_reason",
        ),
    ),
    Row(
        "W2",
        "unknown path",
        "a handshake",
        "refused (403 where the catalogue says 404)",
        (_S + "test_w2_an_unknown_address_is_refused",),
        "Daphne refuses a handshake only with 403.",
    ),
    Row(
        "W3",
        "not signed in, expired, disabled",
        "handshakes; a session that ends meanwhile",
        "accepted, then closed with 4401",
        (
            _S + "test_w3_who_is_not_signed_in_is_told_so_after_the_handshake",
            _S + "test_b5_a_sign_out_elsewhere_ends_open_sockets_within_half_a_minute",
            "live/test_consumer.py::test_a_sign_out_elsewhere_closes_the_socket_also_while_it_waits",
        ),
    ),
    Row("W4", "binary frame", "a frame", "closed with 4003", (_NONSENSE,)),
    Row("W5", "invalid UTF-8", "a frame", "line cut", (_NONSENSE,), _CODES),
    Row("W6", "2 MiB in a frame, endless fragments", "frames", "line cut, memory flat", (_NONSENSE, _ATTACK), _CODES),
    Row(
        "W7",
        "no JSON, no word, unknown word",
        "frames",
        "closed with 4003 and the rule",
        (_NONSENSE, "live/test_consumer.py::test_what_breaks_the_rules_closes_the_socket_with_the_rule"),
    ),
    Row(
        "W8",
        "words that are names of methods",
        "frames",
        "closed with 4003",
        (_NONSENSE, "live/test_wire.py::test_every_word_declares_a_role_and_has_an_example"),
    ),
    Row(
        "W9",
        "subject without the right to it",
        "every word declares its role; a subject of a cluster that is not there",
        "refused by role; the row says that it is not there",
        (
            "live/test_wire.py::test_a_word_is_read_with_its_role",
            "live/test_rows.py::test_what_the_cluster_does_not_have_has_no_row",
        ),
        "Every word is a viewer's, and viewers see every cluster: there is no subject that a socket may not have.",
    ),
    Row(
        "W10",
        "10,000 subjects, the same twice",
        "frames",
        "closed with 4003 beyond 200; twice is once",
        (_NONSENSE, "live/test_wire.py::test_a_page_may_have_two_hundred_subscriptions_and_not_one_more"),
    ),
    Row(
        "W11",
        "names of 249 characters, of any signs",
        "subjects",
        "rows for each",
        (
            _S + "test_w11_names_of_any_kind_are_subjects",
            "live/test_wire.py::test_names_from_strangers_survive_the_way_into_an_id_and_back",
        ),
    ),
    Row("W12", "1,000 messages a second", "a flood", "cut within 30 s, memory within 20 MB", (_ATTACK,)),
    Row("W13", "never reads", "a receive buffer of 4 kB, no reads", "cut within 30 s, memory within 20 MB", (_ATTACK,)),
    Row(
        "W14",
        "floods of pings and empty frames, reserved opcode, unmasked",
        "frames",
        "cut",
        (_NONSENSE, _ATTACK),
        _CODES,
    ),
    Row(
        "W15",
        "compression bomb",
        "permessage-deflate offered; a frame with RSV1",
        "not agreed on; line cut",
        (_S + "test_w15_compression_is_not_agreed_on",),
    ),
    Row(
        "W16",
        "position of the future or of another",
        "hello with such a seq",
        "everything anew, never another's data",
        (_S + "test_w16_a_position_from_the_future_gets_everything_anew", _NONSENSE),
    ),
)
