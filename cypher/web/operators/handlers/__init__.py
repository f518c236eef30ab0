"""Operators' handlers: parse, one use case, answer. Who asks, and whether they may, is settled before them."""
