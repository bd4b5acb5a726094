"""berthet Figure 2: images classified through a perturbed maximum."""
