"""What code read of the world outside its arguments, and whether that is still so."""
