"""What holds unless someone chooses otherwise. Each of these numbers is written here and nowhere else: `ragchat.config` names
them to people, and the dataclasses that carry a choice to where it counts begin with them.
"""

from __future__ import annotations

# The model.
N_CTX = 4096
MOST_N_CTX = 8192
"""Tokens of context when a model may have as many as it was trained with."""
N_BATCH = 512
SNAPSHOTS_MIB = 512

# How the next token is chosen.
TEMPERATURE = 0.2
TOP_K = 40
TOP_P = 0.95
MIN_P = 0.05
REPEAT_PENALTY = 1.1
MAX_TOKENS = 512

# Search, and what of it goes into a prompt.
HITS = 8
PASSAGE_SHARE = 0.5
MIN_MATCH = 0.4
"""Match, and confidence, from which the documents are taken to hold an answer (`ragchat eval calibrate`)."""
MIN_CONFIDENCE = 0.3
BM25_K1 = 1.5
BM25_B = 0.6
MEANING = 0.8
LONGEST_PASSAGE = 2000

# Reading documents.
MAX_FILE_MIB = 50.0
CHUNK_TOKENS = 220
OVERLAP_TOKENS = 30
EXTRACTION_TIMEOUT_S = 60.0
EXTRACTION_MEMORY_MIB = 2048
QUERY_TIMEOUT_S = 30.0
