"""The groups of operators' commands, one module for each."""
