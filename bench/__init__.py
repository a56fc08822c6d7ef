"""Ratios against floors and peers; see README.md."""
