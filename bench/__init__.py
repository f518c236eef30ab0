"""Measures the hot paths, each beside a floor in the same run: what the same costs with nothing of Cypher in it."""
