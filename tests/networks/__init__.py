"""Tests of `lddm_lite.networks`."""
