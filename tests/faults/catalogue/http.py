"""3.1: requests from strangers and from those who mistype."""

from __future__ import annotations

from .row import Row

_HTTP = "faults/test_http.py::"
_RAW = "faults/test_raw_http.py::"
_FORMS = "faults/test_bodies.py::"
_NO_JSON = "No address takes JSON: forms only, so there is no code of its own; it is shown that none of it is a 500."

ROWS = (
    Row(
        "H1",
        "page numbers that are none",
        "?page=0, -1, abc, 1e9, 10^30",
        "the first or the last page, never an error",
        (
            _HTTP + "test_nonsense_in_a_query_is_never_an_error_of_ours",
            _FORMS + "test_h1_a_page_that_is_none_is_a_page",
        ),
    ),
    Row(
        "H2",
        "ranges that run backwards or are not readable",
        "?from=now&to=now-1h, NaN, ten years",
        "a message beside the field, the page with its default",
        (
            "pages/test_ranges.py::test_what_cannot_be_read_is_said_with_the_value",
            "pages/test_ranges.py::test_a_range_that_runs_backwards_is_said",
            "pages/test_pages.py::test_a_bad_range_is_a_message_beside_its_field",
        ),
    ),
    Row(
        "H3",
        "too many points",
        "any width asked for",
        "bounded on the server",
        ("pages/test_charts.py::test_points_are_bounded",),
        "There is no ?step= to mistype.",
    ),
    Row(
        "H4",
        "JSON as text/plain, a charset that is none",
        "POST to every address",
        "an answer below 500",
        (_FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",),
        _NO_JSON,
    ),
    Row(
        "H5",
        "broken JSON",
        "POST to every address",
        "an answer below 500",
        (_FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",),
        _NO_JSON,
    ),
    Row(
        "H6",
        "JSON nested 100,000 deep",
        "POST to every address; the same on the socket",
        "an answer below 500",
        (
            _FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",
            "faults/test_sockets.py::test_nonsense_closes_the_socket_at_once",
        ),
        _NO_JSON,
    ),
    Row(
        "H7",
        "a number of 5,000 digits",
        "in every field of every form, and in queries",
        "an answer below 500, a message beside the field",
        (
            _FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",
            _FORMS + "test_h7_h8_numbers_that_are_none_are_told_beside_their_field",
        ),
    ),
    Row(
        "H8",
        "NaN, Infinity",
        "in the numbers of forms",
        "a message beside the field",
        (
            _FORMS + "test_h7_h8_numbers_that_are_none_are_told_beside_their_field",
            "pages/test_alert_pages.py::test_a_bad_value_is_quoted_beside_its_field_and_changes_nothing",
            "pages/test_connect.py::test_what_cannot_be_saved_is_told_in_words",
        ),
    ),
    Row(
        "H9",
        "keys given twice",
        "a form with every field twice",
        "an answer below 500",
        (_FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",),
        _NO_JSON,
    ),
    Row(
        "H10",
        "body of 50 MB, without end, or one byte a second",
        "raw sockets to a running instance",
        "413 before the body is read, 408 within half a minute; nothing of it on disk",
        (
            _RAW + "test_h10_a_body_that_is_too_large_is_refused_before_it_is_read",
            _RAW + "test_h10_a_body_without_end_is_cut_at_the_limit",
            _RAW + "test_h10_a_request_that_trickles_is_cut",
        ),
    ),
    Row(
        "H11",
        "unknown field in a body",
        "a form with fields that nobody knows",
        "ignored, an answer below 500",
        (_FORMS + "test_h4_to_h9_no_body_however_strange_is_an_error_of_ours",),
    ),
    Row(
        "H12",
        "id=abc where a number is due",
        "nonsense in every id of every address",
        "404",
        (_HTTP + "test_nonsense_in_an_address_is_never_an_error_of_ours", _HTTP + "test_ids_that_nothing_has_give_404"),
    ),
    Row(
        "H13",
        "NUL in a filter",
        "?q=%00 at every address",
        "an answer below 500",
        (_HTTP + "test_nonsense_in_a_query_is_never_an_error_of_ours",),
    ),
    Row(
        "H14",
        "%00, ../, //, \\ in a path",
        "in every address; raw, past any client",
        "404, no file touched",
        (
            _HTTP + "test_nonsense_in_an_address_is_never_an_error_of_ours",
            _RAW + "test_h14_a_path_that_climbs_finds_nothing",
        ),
    ),
    Row(
        "H15",
        "topic of 249 characters, of 250",
        "a page of each",
        "200, 404",
        (
            _FORMS + "test_h15_a_topic_of_249_characters_has_a_page_and_one_of_250_has_none",
            "faults/test_kafka_topics.py::test_a_topic_of_249_characters_has_a_page",
        ),
    ),
    Row(
        "H16",
        "Host of another site, absolute form, two Hosts",
        "raw sockets to a running instance",
        "400",
        (_RAW + "test_h16_a_host_that_is_not_ours_is_400",),
    ),
    Row(
        "H17",
        "10,000 headers, 64 kB of cookie",
        "raw sockets to a running instance",
        "400, 431 or a closed line, and the next request is answered",
        (_RAW + "test_h17_h18_headers_that_are_too_many_too_long_or_broken_are_refused",),
    ),
    Row(
        "H18",
        "control bytes in a header",
        "raw sockets to a running instance",
        "400, or taken as part of the value; never a second header",
        (_RAW + "test_h17_h18_headers_that_are_too_many_too_long_or_broken_are_refused",),
    ),
    Row(
        "H19",
        "POST without a token, foreign Origin, GET with a side effect",
        "every address",
        "403 with the reason; no GET changes state",
        (
            _HTTP + "test_no_post_passes_without_the_token_of_a_form",
            _HTTP + "test_a_get_changes_nothing",
            "access/test_proxy.py::test_a_form_of_a_foreign_origin_is_told_which_setting_changes_it",
        ),
    ),
    Row(
        "H20",
        "somebody else's object",
        "another person's session, another cluster's names",
        "404",
        (
            "access/test_passwords.py::test_another_persons_session_is_as_unknown_as_none",
            _HTTP + "test_ids_that_nothing_has_give_404",
        ),
    ),
    Row(
        "H21",
        "a regular expression that explodes",
        "?q=(a+)+$ at every list",
        "taken as text, answered at once",
        (
            _FORMS + "test_h21_h22_a_search_is_text_and_no_expression",
            "pages/test_search.py::test_what_is_typed_is_text",
        ),
    ),
    Row(
        "H22",
        "a broken regular expression",
        "?q=( at every list",
        "taken as text",
        (_FORMS + "test_h21_h22_a_search_is_text_and_no_expression",),
    ),
    Row(
        "H23",
        "names of fields from a stranger",
        "?sort=password, __class__, filter[_connector]",
        "as if it had not been given",
        (_HTTP + "test_nonsense_in_a_query_is_never_an_error_of_ours",),
    ),
    Row(
        "H24",
        "Accept of XML, a thousand ranges",
        "headers to a running instance",
        "answered as ever",
        (_RAW + "test_h24_headers_that_ask_for_what_is_not_offered_are_ignored",),
    ),
    Row(
        "H25",
        "export of 10^9 rows",
        "",
        "",
        miss="Nothing is exported by HTTP; `manage.py history export` writes a file.",
    ),
    Row(
        "H26",
        "CSV export with a formula in a cell",
        "groups and topics whose names begin with =, +, - and @, by `manage.py history export`",
        "in quotes, as text; read back as they were",
        ("history/test_keeping.py::test_h26_a_name_that_is_a_formula_is_exported_as_text_and_comes_back",),
    ),
    Row(
        "H27",
        "a hundred wrong passwords",
        "the sign-in form",
        "locked for 15 minutes by account and address, the same words for unknown users",
        (
            "access/test_passwords.py::test_ten_wrong_ones_lock_the_pair_of_account_and_address_alone",
            "access/test_passwords.py::test_every_wrong_pair_gets_the_same_words",
            "access/test_passwords.py::test_one_address_cannot_try_accounts_without_end",
        ),
    ),
    Row(
        "H28",
        "next=//evil.example, next=javascript:",
        "at the sign-in",
        "the home page",
        ("access/test_links.py::test_the_way_back_is_kept_only_on_this_host",),
    ),
    Row(
        "H29",
        "TRACE and invented methods",
        "at every address",
        "405",
        (_HTTP + "test_methods_that_nobody_asked_for_give_405",),
    ),
)
