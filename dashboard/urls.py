"""Every address of the program."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, register_converter

from dashboard.access import views as access
from dashboard.metrics import views as machines
from dashboard.names import NameConverter
from dashboard.pages import (
    account,
    alerts,
    audittrail,
    channels,
    clusters,
    groups,
    livecheck,
    overview,
    people,
    series,
    surroundings,
    topics,
)

register_converter(NameConverter, "name")

# Names may hold "/", so nothing but a query follows them.
urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("clusters/<slug:slug>/", clusters.cluster, name="cluster"),
    path("clusters/<slug:slug>/groups/", groups.groups, name="groups"),
    path("clusters/<slug:slug>/groups/<name:name>/", groups.group, name="group"),
    path("clusters/<slug:slug>/topics/", topics.topics, name="topics"),
    path("clusters/<slug:slug>/topics/<name:name>/", topics.topic, name="topic"),
    path("clusters/<slug:slug>/series/", series.series, name="series"),
    path("surroundings/side/", surroundings.side, name="side"),
    path("surroundings/strip/", surroundings.strip, name="strip"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="acknowledge"),
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
