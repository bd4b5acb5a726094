"""Learning to match (sort) numbers: indelman Tables 1a and 1b."""
