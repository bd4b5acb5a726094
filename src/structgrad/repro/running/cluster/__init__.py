"""A Slurm cluster: what a site says of itself, what its controller says, and what a run does about both."""
