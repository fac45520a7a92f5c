"""The suites: cases as data, and the computations that are compared for each."""
