"""The training loop: replicas as a batch dimension, seeds from named axes, checkpoints, budgets."""
