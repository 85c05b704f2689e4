"""Hashed and precompressed static files, made within seconds: a first start must not wait for the last percent."""

from __future__ import annotations

from typing import Any

import brotli  # type: ignore[import-untyped]  # comes without types
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

BROTLI_QUALITY = 6
"""Plotly's bundle: 0.3 s and 1.27 MB, where quality 11 takes 12 s for 1.11 MB (measured, one core)."""


class QuickCompressor(Compressor):  # type: ignore[misc]  # whitenoise is untyped here
    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        compressed: bytes = brotli.compress(data, quality=BROTLI_QUALITY)
        return compressed


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # as above
    # Our scripts are ES modules that import each other: the names in their `import` become the hashed ones. Django's
    # switch for this would do it to every package's files, and fails on one that only mentions an import in a comment.
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )

    def create_compressor(self, **kwargs: Any) -> QuickCompressor:
        return QuickCompressor(**kwargs)
