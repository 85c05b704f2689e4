"""The showing side: the Django project and its app."""

__version__ = "0.1.0"
