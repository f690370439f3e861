"""ASGI applications: what `kinemark` offers over HTTP."""
