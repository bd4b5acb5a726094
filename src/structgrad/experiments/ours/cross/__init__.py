"""The papers' methods side by side: the same tasks, the same number of trials, the same number of maximiser calls."""
