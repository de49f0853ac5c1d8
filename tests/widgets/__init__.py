"""Tests of `lddm_lite.widgets`."""
