"""paulus Table 2: latent parses of ListOps expressions, learned from their values alone."""
