"""What a suite takes, before it runs."""
