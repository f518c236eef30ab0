"""What lives in Redis: sealed, short-lived and rebuildable. Names and values tell a reader of a snapshot nothing."""
