"""Train records anew, drawn at random: the one check that a record made up as a whole does not pass."""
