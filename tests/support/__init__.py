"""What tests of several rooms share: small models and texts, servers, what to compare with."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
