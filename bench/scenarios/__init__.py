"""What is measured: each module yields scenarios over a running service and asserts the answers before it times them."""
