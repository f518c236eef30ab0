"""What is measured: each module yields scenarios, whose answers it has asserted."""
