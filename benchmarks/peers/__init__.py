"""What a user would otherwise take: plain implementations that share no code with the package."""
