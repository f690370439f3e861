"""How much the marks survive, measured: attacks with parameters drawn at random, the table of rows, and their rates."""
