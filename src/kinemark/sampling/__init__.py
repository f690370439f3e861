"""From noise to latents: flow matching, noise schedules, solvers, guidance, and the two orders of generation."""
