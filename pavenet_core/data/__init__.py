"""Labelled pictures and videos on disk, for training and evaluation; knows nothing of torch."""
