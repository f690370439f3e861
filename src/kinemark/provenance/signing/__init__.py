"""What is claimed of a file, who signs for it with which key, and whom one believes."""
