"""Reading a prompt: disguises undone, the rule on minors, the policy's phrases."""
