"""Every address of the program."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, register_converter

from dashboard.access import views as access
from dashboard.metrics import views as machines
from dashboard.names import NameConverter
from dashboard.pages import (
    account,
    alert_history,
    alert_rules,
    alerts,
    audittrail,
    brokers,
    channels,
    clusters,
    configuration,
    connect,
    deadletters,
    deliveries,
    events,
    groups,
    instance,
    livecheck,
    overview,
    people,
    rights,
    search,
    series,
    silences,
    surroundings,
    topics,
)

register_converter(NameConverter, "name")

# Names may hold "/", so nothing but a query follows them.
urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("clusters/add/", connect.add, name="cluster-add"),
    path("clusters/add/test/", connect.check, name="cluster-add-test"),
    path("clusters/<slug:slug>/edit/", connect.edit, name="cluster-edit"),
    path("clusters/<slug:slug>/edit/test/", connect.check, name="cluster-test"),
    path("clusters/<slug:slug>/pause/", connect.pause, name="cluster-pause"),
    path("clusters/<slug:slug>/delete/", connect.delete, name="cluster-delete"),
    path("clusters/<slug:slug>/restore/", connect.restore, name="cluster-restore"),
    path("clusters/<slug:slug>/", clusters.cluster, name="cluster"),
    path("clusters/<slug:slug>/groups/", groups.groups, name="groups"),
    path("clusters/<slug:slug>/groups/<name:name>/", groups.group, name="group"),
    path("clusters/<slug:slug>/topics/", topics.topics, name="topics"),
    path("clusters/<slug:slug>/topics/<name:name>/", topics.topic, name="topic"),
    path("clusters/<slug:slug>/brokers/", brokers.brokers, name="brokers"),
    path("clusters/<slug:slug>/brokers/<int:node_id>/", brokers.broker, name="broker"),
    path("clusters/<slug:slug>/dead-letters/", deadletters.dead_letters, name="dead-letters"),
    path("clusters/<slug:slug>/events/", events.events, name="events"),
    path("clusters/<slug:slug>/configuration/", configuration.configuration, name="configuration"),
    path("clusters/<slug:slug>/rights/", rights.rights, name="rights"),
    path("clusters/<slug:slug>/series/", series.series, name="series"),
    path("surroundings/side/", surroundings.side, name="side"),
    path("surroundings/strip/", surroundings.strip, name="strip"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/history/", alert_history.history, name="alert-history"),
    path("alerts/rules/", alert_rules.rules, name="alert-rules"),
    path("alerts/rules/<slug:key>/", alert_rules.edit, name="alert-rule"),
    path("alerts/rules/<slug:key>/reset/", alert_rules.reset, name="alert-rule-reset"),
    path("alerts/silences/", silences.silences, name="silences"),
    path("alerts/silences/new/", silences.make, name="silence-new"),
    path("alerts/silences/<int:pk>/end/", silences.end, name="silence-end"),
    path("alerts/deliveries/", deliveries.deliveries, name="deliveries"),
    path("alerts/deliveries/<int:pk>/resend/", deliveries.resend, name="resend"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="acknowledge"),
    path("alerts/<int:pk>/take-back/", alerts.take_back, name="take-back"),
    path("settings/channels/", channels.channels, name="channels"),
    path("settings/channels/new/", channels.edit, name="channel-new"),
    path("settings/channels/<int:pk>/", channels.edit, name="channel"),
    path("settings/channels/<int:pk>/delete/", channels.delete, name="channel-delete"),
    path("settings/channels/<int:pk>/test/", channels.test, name="channel-test"),
    path("settings/people/", people.people, name="people"),
    path("settings/people/add/", people.add, name="person-add"),
    path("settings/people/<int:pk>/", people.person, name="person"),
    path("settings/people/<int:pk>/role/", people.set_role, name="person-role"),
    path("settings/people/<int:pk>/reset/", people.reset, name="person-reset"),
    path("settings/people/<int:pk>/disable/", people.disable, name="person-disable"),
    path("settings/people/<int:pk>/enable/", people.enable, name="person-enable"),
    path("settings/people/<int:pk>/signout/", people.sign_out, name="person-signout"),
    path("settings/audit/", audittrail.trail, name="audit"),
    path("settings/account/", account.account, name="account"),
    path("settings/account/sessions/<int:pk>/end/", account.end_session, name="session-end"),
    path("settings/account/signout-everywhere/", account.end_all, name="signout-everywhere"),
    path("search/", search.search, name="search"),
    path("instance/", instance.instance, name="instance"),
    path("signin/", access.signin, name="signin"),
    path("signin/<str:token>/", access.link, name="signin-link"),
    path("signout/", access.signout, name="signout"),
    path("ws/", livecheck.livecheck, name="live-check"),
    path("metrics", machines.metrics, name="metrics"),
    path("healthz", machines.healthz, name="healthz"),
    path("readyz", machines.readyz, name="readyz"),
]

handler404 = "dashboard.pages.errors.not_found"
handler500 = "dashboard.pages.errors.failed"
