"""The gates: what may be asked, what may leave, and the policy that says so.

`policy` holds the rules as data, `prompts` reads a prompt, `flash` and `decode` look at frames, `gates` runs them and
fails closed, and `decision` is what they hand to `provenance.release`.
"""
