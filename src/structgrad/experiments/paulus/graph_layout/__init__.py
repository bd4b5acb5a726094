"""paulus Table 1: neural relational inference on trees that a force-directed layout sets in motion."""
