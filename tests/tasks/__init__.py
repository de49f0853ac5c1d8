"""Tests of `lddm_lite.tasks`."""
