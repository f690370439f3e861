"""Kinemark: text to video that can prove what it made."""
