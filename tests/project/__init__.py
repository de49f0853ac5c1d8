"""Tests of what belongs to no single room: the house itself, its packaging, examples, shipped
models."""
