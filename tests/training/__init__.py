"""Tests of `lddm_lite.training`."""
