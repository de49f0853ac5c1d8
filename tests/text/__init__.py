"""Tests of `lddm_lite.text`."""
