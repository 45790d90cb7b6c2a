"""Events: bytes to values and back."""
