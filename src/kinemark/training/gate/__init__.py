"""How the prompt gate's reader is made: its prompts, its encoder, its fitting."""
