"""`kinemark info`: what is installed, and what a model can be asked for."""

from __future__ import annotations

from typing import Any

from kinemark.cli.output import Json, out, print_json


def info(json: Json = False) -> None:
    """List the models, what spark knows, the policy, and where this installation keeps its state."""
    facts = _facts()
    if json:
        print_json(facts)
        return
    console = out()
    console.print(f"Kinemark {facts['version']}, policy {facts['policy']['version']} of {facts['policy']['date']}")
    console.print(f"State (keys, ledger): {facts['home']}")
    console.print(f"Models: {', '.join(facts['models'])}")
    console.print("spark knows:")
    for name, values in facts["spark"].items():
        console.print(f"  {name:<10} {', '.join(values)}")


def _facts() -> dict[str, Any]:
    import kinemark
    from kinemark.catalogue import KNOWN
    from kinemark.safety.policy.store import policy_in_force
    from kinemark.settings import load_settings
    from kinemark.worlds.spec import ATTRIBUTES

    settings = load_settings()
    policy = policy_in_force(settings)
    return {
        "version": kinemark.__version__,
        "models": list(KNOWN),
        "spark": {a.name: list(a.values) for a in ATTRIBUTES if not a.name.startswith("second_")},
        "policy": {"version": policy.version, "date": policy.date, "digest": policy.digest},
        "home": str(settings.home),
    }
