"""Cohen Indelman and Hazan: direct loss minimisation with learned noise."""
