"""Tables, as csv and for people."""
