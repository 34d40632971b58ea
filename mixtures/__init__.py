"""Domain weights: planning and optimisation."""
