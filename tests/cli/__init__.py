"""Tests of `lddm_lite.cli`."""
