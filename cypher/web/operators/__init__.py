"""The operators' listener: a route table of its own, and a guard that asks for a service token before any handler."""
