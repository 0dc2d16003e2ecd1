"""Parts of `benchmarks/retrieval_speed.py`: the engines, what is measured in a fresh process, the card."""
