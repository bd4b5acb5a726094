"""indelman Table 2: k-nearest-neighbour classification of images, learned through the choice of the neighbours."""
