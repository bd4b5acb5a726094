"""paulus Table 3: learning to explain the ratings of reviews."""
