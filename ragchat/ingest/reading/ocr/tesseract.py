"""The one door to kreuzberg, in whose wheel Tesseract is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason
from ragchat.text import clean_line

_log = logging.getLogger("ragchat.extraction")


def recognise(data: bytes, media_type: str, languages: Sequence[str], *, enlarge: bool, turning: bool) -> str:
    """What Tesseract reads on a picture, as its TSV: a line for each block, paragraph, line and word, with confidences.

    `enlarge`: small pictures are scaled up before. `turning`: upside-down pages are turned, which needs the data `osd`.
    TESSDATA_PREFIX must name the folder of the data. Raises IngestError.
    """
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format="plain",
        force_ocr=True,
        ocr=kreuzberg.OcrConfig(
            backend="tesseract",
            language="+".join(languages),
            tesseract_config=kreuzberg.TesseractConfig(
                language="+".join(languages),
                psm=1 if turning else 3,
                use_cache=False,
                enable_table_detection=False,
                output_format="tsv",
                # Its own turning ends the process.
                preprocessing=kreuzberg.ImagePreprocessingConfig(
                    target_dpi=300 if enlarge else 72, auto_rotate=False
                ),
            ),
        ),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        return str(kreuzberg.extract_bytes_sync(data, media_type, config).content)
    except kreuzberg.KreuzbergError as error:
        said = str(error).lower()
        _log.warning("%s: %s", media_type, clean_line(said, limit=300))
        if "initialization" in said or "not registered" in said:
            raise IngestError(Reason.OCR_FAILED) from error
        raise IngestError(Reason.UNSUPPORTED if "not support" in said else Reason.DAMAGED) from error
