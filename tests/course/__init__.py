"""Tests of the notebooks: that they run, that what they conclude holds, and what makes them."""
