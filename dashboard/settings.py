"""Django's settings, all of them from the environment (README, "Configuration", lists every variable)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from collectors.domain.keeping import KeepError, parse_keep
from collectors.secrets import load_or_make_keys
from dashboard.reach import parse_proxies, parse_public_url

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

DATA_DIR = Path(env.str("STREAMGAUGE_DATA_DIR", str(BASE_DIR / "var"))).absolute()
DATA_DIR.mkdir(parents=True, exist_ok=True)
CACHE_DIR = Path(env.str("STREAMGAUGE_CACHE_DIR", str(BASE_DIR / ".cache"))).absolute()
CLUSTERS_FILE = env.str("STREAMGAUGE_CLUSTERS_FILE", "")
DEMO = env.bool("STREAMGAUGE_DEMO", False)
HOST = env.str("STREAMGAUGE_HOST", "127.0.0.1")
PORT = env.int("STREAMGAUGE_PORT", 8000)
PUBLIC = parse_public_url(env.str("STREAMGAUGE_PUBLIC_URL", ""))
PUBLIC_URL = PUBLIC.text  # "": the address it listens on
SUB_PATH = PUBLIC.sub_path
TRUSTED_PROXIES: list[str] = env.list("STREAMGAUGE_TRUSTED_PROXIES", [])
parse_proxies(tuple(TRUSTED_PROXIES))
OPEN_READ_ONLY = env.bool("STREAMGAUGE_OPEN_READ_ONLY", False)
METRICS_TOKEN = env.str("STREAMGAUGE_METRICS_TOKEN", "")
HEARTBEAT_URL = env.str("STREAMGAUGE_HEARTBEAT_URL", "")
ALLOWED_NETWORKS: list[str] = env.list("STREAMGAUGE_ALLOWED_NETWORKS", [])
_days = env.str("STREAMGAUGE_ALERT_DAYS", "90")
if not (_days.isascii() and _days.isdigit() and 0 < int(_days) < 100_000):
    raise ImproperlyConfigured(f"STREAMGAUGE_ALERT_DAYS is {_days!r}: give a whole number of days, 1 or more")
ALERT_DAYS = int(_days)
try:
    HISTORY_KEEP = parse_keep(env.str("STREAMGAUGE_HISTORY_KEEP", ""))
except KeepError as error:
    raise ImproperlyConfigured(f"STREAMGAUGE_HISTORY_KEEP: {error}") from None
REDIS_URL = env.str("REDIS_URL", "")

# One key for signing and (through collectors.secrets) for stored credentials; each use derives its own.
INSTANCE_KEY = load_or_make_keys(
    DATA_DIR, env.str("STREAMGAUGE_SECRET_KEY", None), env.list("STREAMGAUGE_SECRET_KEY_FALLBACKS", [])
)
SECRET_KEY, *SECRET_KEY_FALLBACKS = INSTANCE_KEY.derived("django signing")
DEBUG = env.bool("STREAMGAUGE_DEBUG", False)
ALLOWED_HOSTS: list[str] = env.list("STREAMGAUGE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("STREAMGAUGE_TRUSTED_ORIGINS", [])
if PUBLIC_URL:
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, PUBLIC.host]
    CSRF_TRUSTED_ORIGINS = [*CSRF_TRUSTED_ORIGINS, PUBLIC.origin]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "channels",
    "collectors",
    "dashboard",
]
MIDDLEWARE = [
    "dashboard.pages.errors.DatabaseAwayMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dashboard.access.csp.ContentSecurityPolicyMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dashboard.pages.zones.ViewerZoneMiddleware",
]
APP_TEMPLATES = "django.template.loaders.app_directories.Loader"
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                ("django.template.loaders.cached.Loader", ["dashboard.subpath.SubPathLoader", APP_TEMPLATES]),
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# SQLite: IMMEDIATE because DEFERRED lost two writes in three with four writers; never ATOMIC_REQUESTS.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # nothing that takes the writer's lock: a page must open its connection while another process has it
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
}
# PostgreSQL: a process that stands still must not keep its locks, and a page must say soon that nothing answers.
POSTGRES_OPTIONS = {
    "options": "-c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=10s",
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # gives up soon and starts afresh with the next question: its waits would double up to minutes
    "pool": {"min_size": 1, "max_size": 20, "timeout": 3, "reconnect_timeout": 3},
}
try:
    _default = dj_database_url.parse(env.str("DATABASE_URL", f"sqlite:///{DATA_DIR / 'streamgauge.sqlite3'}"))
except ValueError:
    # its own text may quote the password
    raise ImproperlyConfigured("DATABASE_URL cannot be read: use postgres://user:password@host:5432/name") from None
if _default["ENGINE"] == "django.db.backends.sqlite3":
    _default["OPTIONS"] = {**_default.get("OPTIONS", {}), **SQLITE_OPTIONS}
    _default["CONN_MAX_AGE"] = None
else:
    # What DATABASE_URL says after "?" comes first.
    _default["OPTIONS"] = {**POSTGRES_OPTIONS, **_default.get("OPTIONS", {})}
    _default["CONN_HEALTH_CHECKS"] = True  # after a restart of PostgreSQL nobody gets a dead connection
DATABASES = {"default": _default}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"seldom": {"()": "dashboard.logs.Seldom"}},
    "loggers": {
        # several lines a second while PostgreSQL is away; who needs it says so, counted
        "psycopg.pool": {"level": "ERROR"},
        # a traceback a second while Redis is away
        "channels_redis.pubsub": {"filters": ["seldom"]},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = ["dashboard.access.hashing.BoundedArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = f"{SUB_PATH}/signin/"
FORCE_SCRIPT_NAME = SUB_PATH or None
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{SUB_PATH}/"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC.is_secure
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "dashboard.access.refusals.csrf_failed"
# Two instances on one host must not sign each other out, and all `web` of one instance know the same people.
_instance = ":".join(str(_default.get(part, "")) for part in ("HOST", "PORT", "NAME"))
SESSION_COOKIE_NAME = f"streamgauge_{hashlib.sha256(_instance.encode()).hexdigest()[:8]}"
CSRF_COOKIE_NAME = SESSION_COOKIE_NAME + "_csrf"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = f"{SUB_PATH}/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "dashboard.charts.bundle.PlotlyFinder",  # plotly.py's own plotly.min.js
]
STATIC_ROOT = CACHE_DIR / "static"  # `static_files.collect` moves on to the folder of these files' version
WHITENOISE_KEEP_ONLY_HASHED_FILES = True  # half the files to compress at the first start
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dashboard.static_storage.HashedStorage"},
}

CHANNEL_LAYERS = (
    {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            # redis-py 8's 5 s socket timeout would close the idle subscriptions of channels-redis 4.3
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]},
        }
    }
    if REDIS_URL
    else {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
)
