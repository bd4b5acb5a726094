"""Records, and what is gathered from them."""
