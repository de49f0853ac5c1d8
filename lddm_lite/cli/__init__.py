"""The command line, `python -m lddm_lite`. Nothing is imported here, so that `doctor` works where
torch does not."""
