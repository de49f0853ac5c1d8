"""Tests: a folder for each room of the library, one for the course and one for the project."""
