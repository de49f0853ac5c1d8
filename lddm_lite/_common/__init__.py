"""What every room uses: checked arguments, seeded randomness, estimates, files, checkpoints,
protocols."""
