"""Tests of `lddm_lite.diffusion`."""
