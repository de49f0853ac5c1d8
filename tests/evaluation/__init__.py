"""Tests of `lddm_lite.evaluation`."""
