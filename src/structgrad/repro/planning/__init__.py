"""What a configuration and a scale ask for."""
