"""Classifiers of others, behind the same seam as our own: endpoints, and models that run here."""
