"""BM25 over the index in `store.knowledge`: analysis, postings, scoring, search, evidence."""
