"""What a clip looks like, as codes that can be looked up and compared."""
