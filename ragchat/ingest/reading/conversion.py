"""The one door to kreuzberg, which reads the formats of others. Opened in the extraction process only."""

from __future__ import annotations

import logging
from typing import Any

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason
from ragchat.text import clean_line

_log = logging.getLogger("ragchat.extraction")


def convert(data: bytes, media_type: str, *, pages: bool = False) -> dict[str, Any]:
    """Content, metadata and pages of a file, by kreuzberg. Raises IngestError with the reason."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        disable_ocr=True,
        output_format="plain" if pages else "markdown",
        pages=kreuzberg.PageConfig(extract_pages=True) if pages else None,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        result = kreuzberg.extract_bytes_sync(data, media_type, config)
    except kreuzberg.KreuzbergError as error:
        said = str(error).lower()
        _log.warning("%s: %s", media_type, clean_line(said, limit=300))
        if "password" in said or "encrypt" in said:
            raise IngestError(Reason.ENCRYPTED) from error
        if "unsupported" in said or isinstance(error, kreuzberg.MissingDependencyError):
            raise IngestError(Reason.UNSUPPORTED) from error
        raise IngestError(Reason.DAMAGED) from error
    return {"content": result.content, "metadata": dict(result.metadata or {}), "pages": result.pages or []}
