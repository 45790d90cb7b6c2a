"""Commands against real brokers and databases."""
