"""Ours: comparisons that no paper prints."""
