"""The showing side: the Django project and its app."""
