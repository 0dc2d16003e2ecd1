"""`python -m ragchat.llm.inference.quantize SOURCE TARGET NUMBER`: llama.cpp's quantiser and nothing else. Ends with its code."""

from __future__ import annotations

import sys

import llama_cpp as lib


def main(source: str, target: str, number: str) -> int:
    """Write `source` as `target` in the `llama_ftype` of this number."""
    lib.llama_backend_init()
    params = lib.llama_model_quantize_default_params()
    params.ftype = int(number)
    params.allow_requantize = True
    return int(lib.llama_model_quantize(source.encode(), target.encode(), params))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
