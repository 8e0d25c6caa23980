"""Rules of AWS Organizations."""
