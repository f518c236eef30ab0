"""Cypher: an authentication service whose stolen database is worthless."""

__version__ = "0.1.0"
