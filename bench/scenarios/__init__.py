"""What is measured: each module yields scenarios over a running service, whose answers it has asserted."""
