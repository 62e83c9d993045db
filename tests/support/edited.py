"""Versions that the pipeline would not make: with other facts, or an edited ONNX file."""

import hashlib
from collections.abc import Callable
from typing import Any

import onnx
from onnx import numpy_helper

from champion.delivery import deployment
from champion.delivery.register import register
from champion.registry import history
from champion.registry.versions import ONNX_FILE
from support.delivery import DeliveryProject


def deploy_result(project: DeliveryProject, name: str, **changes: Any) -> str:
    """Register a result of the pipeline with changed facts, and serve it in staging."""
    # It imports scikit-learn, which most tests need not wait for.
    from support.results import package_again

    project.copy_result(name)
    package_again(project.root, **changes)
    project.commit()
    version, _ = register(project.staging)
    deployment.deploy(project.staging, version.name)
    return version.name


def register_edited(project: DeliveryProject, edit: Callable[[onnx.ModelProto], object]) -> str:
    """Register v2 once more, as the next version, with an edited ONNX file."""
    registry = project.staging
    row = history.registration(registry.rows, "v2")
    version = registry.resolve("v2")
    model = onnx.load_from_string(registry.read_file(version, ONNX_FILE))
    edit(model)
    content = model.SerializeToString()
    sha256 = hashlib.sha256(content).hexdigest()
    registry.files.write(f"{sha256}/{ONNX_FILE}", content)
    files = {**version.files, ONNX_FILE: sha256}
    name = f"v{len(history.versions(registry.rows)) + 1}"
    with registry.ledger.appending() as session:
        session.append("register", version=name, model_sha256=row.model_sha256, details={**row.details, "files": files})
    return name


def fail_on_unseen_text(model: onnx.ModelProto) -> None:
    """Let it raise an error for a region that nobody saw. It passes its smoke test."""
    # The codes of the only category have a row for each known text, for missing, and for any other text.
    looked_up = [node.input[0] for node in model.graph.node if node.op_type == "Gather" and "constant" in node.input[0]]
    codes = next(one for one in model.graph.initializer if one.name == looked_up[0])
    codes.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(codes)[:-1], codes.name))
