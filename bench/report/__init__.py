"""A run as one page with plots: hand-written SVG, no script, nothing loaded from elsewhere."""

from bench.report.page import write

__all__ = ["write"]
