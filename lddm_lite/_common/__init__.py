"""What every room uses: checked arguments, options, seeded randomness, estimates, files,
checkpoints, protocols."""
