"""Data: the manifest that training needs, and the only place that reads and writes video files."""
