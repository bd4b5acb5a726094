"""What is minimised when a prediction goes through an argmax."""
