"""Measures the hot paths, each as a ratio to a floor taken in the same run."""
