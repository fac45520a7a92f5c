"""From samples to statistics, tables, pictures and comparisons of runs."""
