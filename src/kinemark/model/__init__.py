"""The denoiser and what stands around it: text encoder, autoencoder, foreign checkpoints, weights."""
