"""What both tasks of rankings share: the grid of models trained as one batch, the losses, the correlation of ranks."""
