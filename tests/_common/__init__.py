"""Tests of `lddm_lite._common`."""
