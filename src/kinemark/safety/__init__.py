"""The gates: what may be asked, what may leave, and the policy that says so.

`policy` holds the rules as data, `prompt` reads a prompt, `frames` looks at what came out, `gates` runs them and fails
closed, and `decision` is what they hand to `provenance.release`.
"""
