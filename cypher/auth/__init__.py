"""The use cases: what a person, a backend or an operator can do. No HTTP and no SQL."""
