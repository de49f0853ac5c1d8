"""Tests in a real browser: notebooks in a JupyterLab of their own, and HTML files with the network
off."""
