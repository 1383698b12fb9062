"""A model's accuracy on labelled frames: run, analyse, report; needs no torch."""
