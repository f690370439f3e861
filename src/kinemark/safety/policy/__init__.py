"""The policy as data: the file and how it is read, the language of its phrases."""
