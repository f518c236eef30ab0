"""Backups: a dump of the database and the key store, taken together, proven, and brought back together.

Nothing here overwrites anything: neither a directory, nor a database that holds something, nor a key store.
"""
