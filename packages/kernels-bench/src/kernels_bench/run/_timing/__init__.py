"""Time and peak memory of implementations, measured in processes of their own."""
