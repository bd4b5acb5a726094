"""Paulus et al.: stochastic softmax tricks."""
