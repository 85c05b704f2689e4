"""3.3: settings, cluster definitions, the environment."""

from __future__ import annotations

from .row import Row

_SETTINGS = "kafka/test_settings.py::"
_SECURED = "kafka/test_secured_settings.py::"
_REFUSED = _SETTINGS + "test_what_cannot_be_used_is_refused_by_name_with_the_reason"
_SIGN_IN = _SECURED + "test_a_sign_in_that_cannot_work_is_refused_with_what_to_write"
_HERE = "faults/test_configuration.py::"

ROWS = (
    Row(
        "G1",
        "keys that run code or read files",
        "each of the catalogue's, pasted",
        "refused by name with the reason",
        (_REFUSED, _HERE + "test_g1_keys_that_run_code_read_files_or_call_out_never_reach_a_client"),
    ),
    Row(
        "G2",
        "Java's settings",
        "JAAS lines, stores",
        "translated, or refused with what to write",
        (_SECURED + "test_a_jaas_line_is_read_with_its_quotes", _SIGN_IN),
    ),
    Row(
        "G3",
        "certificates that are none, do not match, are too large",
        "PEM, PKCS12 and rubbish",
        "named, the key never echoed",
        (
            _SIGN_IN,
            _SECURED + "test_a_key_of_another_certificate_is_refused",
            _SECURED + "test_rubbish_for_a_store_is_told",
            "kafka/test_secured_real.py::test_each_refusal_of_tls_has_its_own_word",
        ),
    ),
    Row(
        "G4",
        "bootstrap servers that are none",
        "empty, ::::,,, URLs, port 99999, 500 hosts",
        "refused, the item quoted",
        (_REFUSED, _HERE + "test_g4_every_server_that_is_none_is_quoted"),
    ),
    Row(
        "G5",
        "bootstrap server in a denied network",
        "",
        "",
        miss="Brokers may be in private networks and on loopback, by design; addresses that people type for "
        "webhooks pass the policy (alerts/test_addresses.py).",
    ),
    Row(
        "G6",
        "numbers that wrap or are none",
        "99999999999, -1, 1_000, 1e3, ' 5'",
        "refused with the range",
        (_REFUSED, _HERE + "test_g6_a_number_that_a_library_would_wrap_is_refused"),
    ),
    Row(
        "G7", "newline or NUL in client.id", "pasted", "refused", (_REFUSED, _HERE + "test_g7_a_client_id_is_one_word")
    ),
    Row(
        "G8",
        "a password without TLS",
        "SASL_PLAINTEXT",
        "said",
        (_SECURED + "test_what_is_unsafe_is_said",),
        "It is said and not refused: an admin typed it.",
    ),
    Row(
        "G9",
        "verification switched off",
        "enable.ssl.certificate.verification=false; no host name check",
        "the first refused, the second said",
        (_SIGN_IN, _SECURED + "test_what_is_unsafe_is_said"),
    ),
    Row(
        "G10",
        "cluster names and addresses from a stranger",
        "taken, ../x, <script>, emoji, right-to-left mark",
        "a message beside the field; what is stored is shown as text",
        (
            "pages/test_connect.py::test_an_address_that_is_taken_is_told",
            "pages/test_connect.py::test_what_cannot_be_saved_is_told_in_words",
            _HERE + "test_g10_a_cluster_s_name_is_text_and_its_address_is_plain",
        ),
    ),
    Row(
        "G11",
        "weak or missing key",
        "short, sample, repeated",
        "refused, not quoted, exit 2",
        (
            "access/test_secrets.py::test_a_weak_key_is_refused_and_not_quoted",
            _HERE + "test_g11_g13_g17_a_command_that_cannot_start_says_one_sentence_and_ends_with_two",
        ),
    ),
    Row(
        "G12",
        "debug, any host, no origins behind TLS",
        "settings that do not fit together",
        "the doctor names each with its fix",
        ("access/test_doctor.py::test_each_wrong_combination_is_named_with_its_fix",),
        "Said by the doctor; the start does not refuse it.",
    ),
    Row(
        "G13",
        "unknown variable with our prefix",
        "STREAMGAUGE_PUBLIC_ULR; STREAMGAUGE_CLUSTERS_0_BOOTSTRAP",
        "did you mean …",
        (
            "access/test_doctor.py::test_a_slip_of_the_pen_is_found",
            "test_as_code.py::test_a_variable_that_cannot_be_used_is_named",
        ),
        "The doctor says it; only cluster variables stop the start.",
    ),
    Row(
        "G14",
        "intervals of 0, 1 ms, ten years",
        "in the form, on the command line, in the environment",
        "refused with the range",
        (
            "pages/test_connect.py::test_what_cannot_be_saved_is_told_in_words",
            "test_as_code.py::test_a_variable_that_cannot_be_used_is_named",
            "alerts/test_retention.py::test_a_bad_number_of_days_is_refused_with_its_value",
        ),
    ),
    Row(
        "G15",
        "YAML with anchors, tags, tabs, doubled keys, deep nesting, megabytes",
        "clusters.yaml",
        "refused with file and line; no object is ever made",
        (
            _HERE + "test_g15_yaml_that_is_no_list_of_clusters_is_refused_with_its_file",
            "test_as_code.py::test_a_mistake_in_the_file_is_told_with_its_line",
        ),
    ),
    Row(
        "G16",
        "encryption key wrong or lost",
        "secrets of another key",
        "named; other clusters run",
        (
            "access/test_secrets.py::test_a_secret_that_no_key_reads_is_named_and_left_alone",
            "access/test_doctor.py::test_secrets_of_another_key_are_bad",
            "sampler/test_loops.py::test_a_cluster_whose_settings_cannot_be_read_does_not_stop_the_others",
        ),
    ),
    Row(
        "G17",
        "database address wrong, schema newer than the code",
        "DATABASE_URL that nobody knows; a migration from the future",
        "exit 2, one sentence",
        (_HERE + "test_g11_g13_g17_a_command_that_cannot_start_says_one_sentence_and_ends_with_two",),
    ),
)
