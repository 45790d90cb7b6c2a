"""What every API with history keeps to."""
