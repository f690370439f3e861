"""The rendered worlds that spark learns from: what a scene is, how it looks, and how it is said."""
