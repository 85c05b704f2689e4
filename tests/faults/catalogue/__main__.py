"""Writes the table for people."""

from __future__ import annotations

from .markdown import README, as_markdown

README.write_text(as_markdown(), encoding="utf-8")
