"""Berthet et al.: perturbed optimisers and Fenchel-Young losses."""
