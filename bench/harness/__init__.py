"""What make bench runs: see bench/run."""
