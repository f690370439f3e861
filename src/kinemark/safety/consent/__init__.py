"""Who may be shown: records of consent, and what was made under them."""
