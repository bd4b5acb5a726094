"""How a prediction becomes differentiable."""
