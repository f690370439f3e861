"""The marks in the pixels: how they are written, and how they are found again, whatever happened to the picture."""
