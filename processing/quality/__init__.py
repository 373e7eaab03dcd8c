"""Judging products by eye: which to look at next, how far readers agree, what they marked, masks made by hand."""
