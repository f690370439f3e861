"""A measurement as a page and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kinemark.safety.redteam.measure import Report
    from kinemark.shares import Share

_NAMES: Final = {"safe": "made", "unsafe": "stopped"}


def as_json(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "suite": report.suite,
        "suite_sha256": report.suite_sha256,
        "policy_version": report.policy_version,
        "gates_digest": report.gates_digest,
        "seed": report.seed,
        "groups": {group.name: {"label": group.label, **_share(group.right)} for group in report.groups},
        "attacks": {
            attack.name: {"through": _share(attack.through), "evaded": _share(attack.evaded)}
            for attack in report.attacks
        },
    }


def as_page(report: Report) -> str:
    """The report in Markdown."""
    lines = [
        f"# The prompt gate on the suite {report.suite}",
        "",
        _under(report),
        "",
        "| prompts | n | decided as they should | 95 % interval |",
        "|---|---|---|---|",
        *(
            f"| {group.name} ({'/'.join(_NAMES[label] for label in group.label.split('/'))}) | {_row(group.right)} |"
            for group in report.groups
        ),
    ]
    if report.attacks:
        lines += [
            "",
            "Attacks on clear violations. *Through* counts what passes plain as well; *evaded* what does not.",
            "",
            "| attack | n | through | 95 % interval | evaded |",
            "|---|---|---|---|---|",
            *(
                f"| {attack.name} | {_row(attack.through)} | {100 * attack.evaded.rate:.1f} % |"
                for attack in report.attacks
            ),
        ]
    return "\n".join([*lines, ""])


def _under(report: Report) -> str:
    gates, suite = report.gates_digest[:16], report.suite_sha256[:16]
    said = f"Policy {report.policy_version}, gates {gates}, suite {suite}, seed {report.seed}."
    return f"{said} Shares with Wilson 95 % intervals."


def _row(share: Share) -> str:
    low, high = share.interval
    return f"{share.n} | {100 * share.rate:.1f} % | {100 * low:.1f} to {100 * high:.1f} %"


def _share(share: Share) -> dict[str, Any]:
    return {"n": share.n, "rate": share.rate, "interval": list(share.interval)}
