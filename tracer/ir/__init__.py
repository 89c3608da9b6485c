"""What a program is, without knowing any op."""
