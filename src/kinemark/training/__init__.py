"""How spark is made: data stream, objective, optimiser, loop, recipes, and the evaluation that judges the result."""
