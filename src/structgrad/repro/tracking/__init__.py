"""Records as runs of MLflow."""
