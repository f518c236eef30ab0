"""Handlers: parse, one use case, answer. No `try`; errors become answers in the middleware."""
