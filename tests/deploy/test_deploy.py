"""What is deployed is what the schemas allow, what the command line has, and what the settings read."""

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from command_line import run
from kinemark import settings

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kuberay").glob("*.yaml"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCUMENTS = [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]
CLUSTER = next(one for one in DOCUMENTS if one["kind"] == "RayCluster")
#: The fields of a RayCluster that stand in ours, as KubeRay 1.5's definition has them; pods are checked by Kubernetes'.
GROUP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rayStartParams", "template"],
    "properties": {
        "groupName": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 0},
        "minReplicas": {"type": "integer", "minimum": 0},
        "maxReplicas": {"type": "integer", "minimum": 0},
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {"type": "object", "required": ["spec"]},
    },
}
RAY_CLUSTER = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["headGroupSpec"],
            "properties": {
                "rayVersion": {"type": "string"},
                "enableInTreeAutoscaling": {"type": "boolean"},
                "autoscalerOptions": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"version": {"enum": ["v1", "v2"]}, "idleTimeoutSeconds": {"type": "integer"}},
                },
                "authOptions": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"mode": {"enum": ["disabled", "token"]}},
                },
                "headGroupSpec": GROUP,
                "workerGroupSpecs": {"type": "array", "items": GROUP},
            },
        },
    },
}


def groups():
    return [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]


def containers():
    return [one for group in groups() for one in group["template"]["spec"]["containers"]]


def kubernetes(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_compose_is_a_compose_file():
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    Draft202012Validator(schema).validate(COMPOSE)
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["server"]["comand"] = "typo"
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate(broken)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifests_are_what_kubernetes_knows(document):
    if document["kind"] != "RayCluster":
        kubernetes(document)
        return
    Draft7Validator(RAY_CLUSTER).validate(document)
    for group in groups():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": group["template"]["spec"]}
        kubernetes(pod)
        pod["spec"] = pod["spec"] | {"contaners": []}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes(pod)


def test_everything_lies_in_one_namespace_and_what_is_named_is_there():
    names = {(one["kind"], one["metadata"]["name"]) for one in DOCUMENTS}
    (namespace,) = {one["metadata"]["namespace"] for one in DOCUMENTS if one["kind"] != "Namespace"}
    assert ("Namespace", namespace) in names
    for group in groups():
        for volume in group["template"]["spec"]["volumes"]:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
    for container in containers():
        for source in container["envFrom"]:
            assert ("Secret", source["secretRef"]["name"]) in names
    (service,) = [one for one in DOCUMENTS if one["kind"] == "Service"]
    assert service["spec"]["selector"]["ray.io/cluster"] == CLUSTER["metadata"]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == 8000


def test_ray_is_the_version_that_is_tested():
    import ray

    pinned = CLUSTER["spec"]["rayVersion"].split(".")[:1]
    assert ray.__version__.split(".")[:1] == pinned


def commands():
    compose = [shlex.join(one["command"]) for one in COMPOSE["services"].values() if "command" in one]
    head = " ".join(containers()[0]["args"])
    comments = "\n".join(path.read_text() for path in (*MANIFESTS, DEPLOY / "compose.yaml", DEPLOY / "Dockerfile"))
    said = " ".join(re.findall(r"\[(\"kinemark\".*)\]", comments)).replace('",', '"')
    return sorted(
        {
            found.split(")")[0].strip()
            for text in (*compose, head, comments, " ".join(shlex.split(said)))
            for found in re.findall(r"\bkinemark (?:serve|worker|keys)[^\n&;]*", text)
        }
    )


@pytest.mark.parametrize("command", commands())
def test_commands_are_those_of_the_command_line(command, capsys):
    """Each is one that there is, with options that it has."""
    words = shlex.split(command)[1:]
    verb = words[: 2 if words[0] == "keys" else 1]
    code, shown, _ = run(capsys, *verb, "--help")
    assert code == 0
    for option in [word for word in words if word.startswith("--")]:
        assert option in shown


def test_the_variables_are_those_that_are_read():
    told = set(re.findall(r"^\| ([A-Z_]+) \|", settings.__doc__, re.MULTILINE))
    secret = next(one for one in DOCUMENTS if one["kind"] == "Secret")["stringData"]
    named = {
        *secret,
        *COMPOSE["x-kinemark"]["environment"],
        *(one["name"] for c in containers() for one in c.get("env", [])),
    }
    dockerfile = set(re.findall(r"\b(KINEMARK_\w+|RAY_\w+)=", (DEPLOY / "Dockerfile").read_text()))
    ours = {name for name in named | dockerfile if not name.startswith("AWS_")}
    assert ours - {"RAY_USAGE_STATS_ENABLED"} <= told
    assert len(ours) >= 5
