"""Training of the network; never needed to run it."""
