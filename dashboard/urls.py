"""Every address of the program."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, register_converter

from dashboard.access import views as access
from dashboard.metrics import views as machines
from dashboard.names import NameConverter
from dashboard.pages import alerts, channels, clusters, connect, groups, overview, series, topics

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
    path("clusters/<slug:slug>/series/", series.series, name="series"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="acknowledge"),
    path("settings/channels/", channels.channels, name="channels"),
    path("settings/channels/new/", channels.edit, name="channel-new"),
    path("settings/channels/<int:pk>/", channels.edit, name="channel"),
    path("settings/channels/<int:pk>/delete/", channels.delete, name="channel-delete"),
    path("settings/channels/<int:pk>/test/", channels.test, name="channel-test"),
    path("signin/", access.signin, name="signin"),
    path("signin/<str:token>/", access.link, name="signin-link"),
    path("signout/", access.signout, name="signout"),
    path("metrics", machines.metrics, name="metrics"),
    path("healthz", machines.healthz, name="healthz"),
    path("readyz", machines.readyz, name="readyz"),
]

handler404 = "dashboard.pages.errors.not_found"
handler500 = "dashboard.pages.errors.failed"
