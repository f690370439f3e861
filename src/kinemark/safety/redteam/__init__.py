"""Attacks on the prompt gate, and how often it stands or falls: for those who run it, and for outsiders who test it."""
