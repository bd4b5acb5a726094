"""berthet Figure 6: costs of terrain learned from shortest paths."""
