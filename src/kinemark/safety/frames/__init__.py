"""Looking at frames: whether they are a picture, whether they flash."""
