"""The open Wan family as models of the engine: text, autoencoder, releases, and where they lie."""
