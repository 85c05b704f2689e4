"""The instance and the life of the end-to-end tests, for a browser."""

from tests.e2e.conftest import life, served

__all__ = ["life", "served"]
