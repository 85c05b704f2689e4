"""2.1: what happens to brokers, topics and groups."""

from __future__ import annotations

from .row import Row

_BROKERS = "faults/test_kafka_brokers.py::"
_TOPICS = "faults/test_kafka_topics.py::"
_GROUPS = "faults/test_kafka_groups.py::"
_STRANGE = "faults/test_strange_answers.py::"

ROWS = (
    Row(
        "K1",
        "one broker dies",
        "SIGKILL of one node of three",
        "suspect at once, down in seconds, replicas missing, an alert; all other numbers go on; up again by itself",
        (
            "e2e/test_broker_dies.py::test_a_killed_broker_is_suspect_at_once_then_down_and_comes_back_by_itself",
            "kafka/test_session_real.py::test_a_killed_broker_is_suspect_at_once_and_the_others_keep_answering",
        ),
    ),
    Row(
        "K2",
        "all brokers die",
        "SIGKILL of all three nodes, then a start of all",
        "cycles go on as not reached with the reason, no number is stored as 0, no group, topic or alert ends; the "
        "numbers come back by themselves",
        (_BROKERS + "test_k6_k2_two_brokers_die_then_the_third_and_all_come_back",),
    ),
    Row(
        "K3",
        "a broker is frozen, its ports open",
        "SIGSTOP of the quorum's leader",
        "no second request to it, no other broker waits for it",
        ("kafka/test_session_real.py::test_a_hung_broker_gets_no_second_request_and_holds_nobody_up",),
    ),
    Row(
        "K4",
        "long stutter, as of garbage collection",
        "SIGSTOP 2 s and SIGCONT 3 s, six times",
        "cycles keep their times, numbers that are known are right, no broker is ever called down",
        (_BROKERS + "test_k4_a_stutter_makes_nobody_flap",),
    ),
    Row(
        "K5",
        "the leader of the controllers' quorum is killed",
        "found by DescribeQuorum, SIGKILL",
        "one event from the quorum's own answer; none in steady state",
        (_BROKERS + "test_k7_k5_k20_a_rolling_restart_is_three_short_events",),
    ),
    Row(
        "K6",
        "quorum lost, two of three",
        "SIGKILL of two nodes of three, each a controller too",
        "the quorum is an error of its own, numbers of what still has a leader go on",
        (_BROKERS + "test_k6_k2_two_brokers_die_then_the_third_and_all_come_back",),
    ),
    Row(
        "K7",
        "rolling restart",
        "nodes ended and started one after the other",
        "events per broker, no gap for partitions that have a leader, no negative lag",
        (_BROKERS + "test_k7_k5_k20_a_rolling_restart_is_three_short_events",),
    ),
    Row(
        "K8",
        "partition without a leader",
        "topic with one replica on a node that is killed",
        "counted as offline, end and lag not known, never 0",
        (
            _BROKERS + "test_k6_k2_two_brokers_die_then_the_third_and_all_come_back",
            "kafka/test_session_real.py::test_a_topic_that_is_gone_is_not_known_with_the_reason",
        ),
    ),
    Row(
        "K9",
        "ISR shrinks below min.insync.replicas",
        "SIGKILL of a follower of a topic with min.insync.replicas=3",
        "under-replicated partitions, and that writes are refused where the topic's minimum is known",
        (_BROKERS + "test_k6_k2_two_brokers_die_then_the_third_and_all_come_back",),
        "Under-replicated is seen; a count of its own for partitions below min.insync.replicas is not shown yet. "
        "The link between brokers alone cannot be cut on one machine without network namespaces.",
    ),
    Row(
        "K10",
        "topic deleted",
        "deleted on the real Kafka while sampled",
        "gone with its time, history kept, no error in later cycles",
        (_TOPICS + "test_k10_a_deleted_topic_is_gone_with_its_time_and_later_cycles_are_clean",),
    ),
    Row(
        "K11",
        "deleted and recreated between two cycles",
        "both on the real Kafka between two cycles",
        "an event, no negative rate, lag never from the old topic",
        (
            _TOPICS + "test_k11_k12_a_topic_recreated_with_fewer_partitions_starts_afresh",
            "history/test_now.py::test_a_topic_made_anew_has_no_negative_rate",
            "sampler/test_inventory.py::test_a_change_of_topics_is_a_sentence",
        ),
    ),
    Row(
        "K12",
        "recreated with fewer partitions",
        "6 partitions, then 2, on the real Kafka",
        "the old partitions are gone, cycles go on",
        (_TOPICS + "test_k11_k12_a_topic_recreated_with_fewer_partitions_starts_afresh",),
    ),
    Row(
        "K13",
        "partitions added",
        "2 partitions, then 6, on the real Kafka",
        "an event and the new rows",
        (_TOPICS + "test_k13_a_topic_that_grows_while_watched_has_the_new_rows",),
    ),
    Row(
        "K14",
        "retention trims past the committed offset",
        "DeleteRecords beyond a commit on the real Kafka",
        "no negative, no zero, no crash",
        (_GROUPS + "test_k14_k15_k16_no_offset_however_strange_makes_lag_negative_or_unknown_zero",),
        "What is lost is counted and called so: e2e/test_acts.py::test_retention, alerts/test_default_rules.py.",
    ),
    Row(
        "K15",
        "offsets reset backwards",
        "commit of offset 0 on the real Kafka",
        "no negative, no zero, no crash",
        (
            _GROUPS + "test_k14_k15_k16_no_offset_however_strange_makes_lag_negative_or_unknown_zero",
            "history/test_now.py::test_a_rewound_group_has_no_negative_rate",
        ),
        "The verdict *rewound* is in domain/test_verdict_table.py.",
    ),
    Row(
        "K16",
        "offsets reset past the end",
        "commit of end + 1000 on the real Kafka",
        "no negative, no crash",
        (_GROUPS + "test_k14_k15_k16_no_offset_however_strange_makes_lag_negative_or_unknown_zero",),
        "The warning about an offset beyond the end comes with “The truth about lag”.",
    ),
    Row(
        "K17",
        "group empty, or without any commit",
        "its only consumer leaves; a consumer that never commits, on a new Kafka that has no __consumer_offsets yet",
        "state Empty, no members, lag still known; no commit is no lag, and looking makes no topic",
        (
            _GROUPS + "test_k17_k18_a_group_runs_empty_then_is_deleted",
            "faults/test_kafka_fresh.py::test_a_cluster_on_its_first_day_is_watched_without_changing_it",
            "live/test_rows.py::test_a_group_that_never_committed_has_no_lag_rather_than_zero",
        ),
    ),
    Row(
        "K18",
        "group deleted",
        "DeleteGroups on the real Kafka",
        "gone with its time; its alert is over",
        (
            _GROUPS + "test_k17_k18_a_group_runs_empty_then_is_deleted",
            "alerts/test_judge.py::test_a_group_that_was_deleted_resolves",
        ),
    ),
    Row(
        "K19",
        "group rebalancing for long",
        "a member that joins and never syncs, on the real Kafka",
        "the state of the group as Kafka says it, lag still known, no crash",
        (_GROUPS + "test_k19_a_group_that_rebalances_without_end_keeps_its_lag",),
        "How long it has been rebalancing is not shown yet.",
    ),
    Row(
        "K20",
        "group coordinator moves",
        "the coordinator of a group is among the nodes of a rolling restart, and is killed",
        "the group stays listed, its commits are not known for a moment, never 0",
        (
            _BROKERS + "test_k7_k5_k20_a_rolling_restart_is_three_short_events",
            "kafka/test_session_real.py::test_a_killed_broker_is_suspect_at_once_and_the_others_keep_answering",
            "history/test_now.py::test_a_dead_coordinator_leaves_no_old_rate_standing",
        ),
    ),
    Row(
        "K21",
        "group unsubscribed from a topic",
        "a consumer moves from one topic to another on the real Kafka",
        "no negative, no zero, no crash",
        (_GROUPS + "test_k21_a_topic_that_a_group_left_keeps_its_commit_and_its_lag",),
        "That it is committed and not assigned is told with “The truth about lag”.",
    ),
    Row(
        "K22",
        "log directory of a broker fails",
        "DescribeLogDirs answers with KafkaStorageException for one directory",
        "the directory is offline, the broker's disk use not known, never 0",
        (
            _STRANGE + "test_k22_a_log_directory_that_is_offline_has_no_size",
            "pages/test_cluster_tabs.py::test_unknown_sizes_are_hatched_and_never_zero",
        ),
        "A disk of a real broker is not filled: its node would have to be one of its own, with two directories.",
    ),
    Row(
        "K23",
        "right withdrawn while connected",
        "each ACL withdrawn in turn on the secured node",
        "named with the line that grants it, not as no data",
        (
            "kafka/test_probe_real.py::test_each_right_withdrawn_turns_off_what_needs_it",
            "kafka/test_probe_real.py::test_what_a_login_may_not_see_is_off_with_the_line_that_turns_it_on",
        ),
    ),
    Row(
        "K24",
        "password rotated",
        "SCRAM secret altered on the secured node while connected",
        "sign-in refused since, not tried again at once, mended by itself",
        (
            "kafka/test_secured_real.py::test_a_password_rotated_while_connected_is_told_and_ends_when_it_is_mended",
            "kafka/test_secured_real.py::test_a_refused_sign_in_is_not_tried_again_at_once",
        ),
    ),
    Row(
        "K25",
        "certificate expired, or of another host",
        "a node with such certificates",
        "each with its own word, never without verification; days left shown before",
        (
            "kafka/test_secured_real.py::test_each_refusal_of_tls_has_its_own_word",
            "pages/test_connect.py::test_the_days_left_of_stored_certificates_are_shown",
        ),
    ),
    Row(
        "K26",
        "another cluster behind the address",
        "a session whose answers name another cluster id",
        "not reached, both ids named, nothing of the other cluster stored; goes on when the first one is back, or "
        "when the settings are saved anew",
        (
            _STRANGE + "test_k26_another_cluster_behind_the_address_is_named_and_not_mixed_in",
            _STRANGE + "test_k26_settings_that_are_saved_anew_accept_the_other_cluster",
        ),
    ),
    Row(
        "K27",
        "mixed versions, unknown states and types",
        "answers with a state and a type that nobody knows, versions that differ by broker",
        "shown as they are called, no crash",
        (
            "kafka/test_groups.py::test_a_listed_group_has_the_type_that_is_named",
            _STRANGE + "test_k27_a_state_that_nobody_knows_is_shown_as_it_is_called",
        ),
        "Two versions of Kafka in one cluster are not started here.",
    ),
    Row(
        "K28",
        "our client is throttled by a quota",
        "request quota for our client id on the real Kafka",
        "late cycles are skipped and said, never overlap; no number is made up",
        (_BROKERS + "test_k28_a_throttled_client_is_slower_and_stays_right",),
        "The throttle time itself is not shown.",
    ),
    Row(
        "K29",
        "5,000 topics appear at once",
        "a survey with 5,000 new topics",
        "all of them rows, at most 51 events, one cycle stays below its interval",
        (
            _STRANGE + "test_k29_five_thousand_new_topics_are_stored_within_a_cycle",
            "sampler/test_inventory.py::test_a_thousand_new_topics_are_not_a_thousand_events",
        ),
        "There is no guard that shows only the first 2,000: lists are paged on the server instead.",
    ),
    Row(
        "K30",
        "flood of dead letters",
        "30,000 records into a dead-letter topic between cycles on the real Kafka",
        "count and rate; no record is read",
        (
            _TOPICS + "test_k30_a_flood_of_dead_letters_has_a_rate_and_a_count_and_nobody_reads_it",
            "kafka/test_reads_only.py::test_a_request_that_would_change_something_cannot_be_made",
        ),
    ),
)
