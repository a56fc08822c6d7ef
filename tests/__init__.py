"""Tests, laid out as the package is; `database/` runs the servers they need, `data/` holds samples of others with their licences."""
