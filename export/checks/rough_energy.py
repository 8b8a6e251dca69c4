"""A rougher energy for the verification of line searches.

The energies of trained models are so smooth that a full step nearly always descends. So the comparisons with the model
itself would not reach the shorter steps of a search. They are compared on the same graph with a rougher energy: the
last filters of the network are scaled, in the graph and in torch, and nothing else is changed. Curvatures grow with the
square of the scale.
"""

from __future__ import annotations

import copy

import numpy as np
from onnx import ModelProto, numpy_helper

from gradprox.export.checks.report import demand
from gradprox.networks.denoisers.deep_potential import DeepPotential

# Trained models have curvatures around 1, and full steps overshoot from 2 on. The first scale that shortens a step
# is taken.
SCALES = (2.0, 4.0)


def rougher(model: ModelProto, network: DeepPotential, scale: float) -> tuple[ModelProto, DeepPotential]:
    """Return copies of an exported model and its network with the last filters scaled.

    Raises:
        VerificationError: the model does not have the last filters of the network.
    """
    rough_model, rough_network = ModelProto(), copy.deepcopy(network)
    rough_model.CopyFrom(model)
    rough_network.last.data *= scale
    filters, found = network.last.detach().numpy(), 0
    for tensor in rough_model.graph.initializer:
        if tuple(tensor.dims) == filters.shape and np.array_equal(numpy_helper.to_array(tensor), filters):
            tensor.CopyFrom(numpy_helper.from_array(rough_network.last.detach().numpy(), tensor.name))
            found += 1
    demand(found > 0, "it lacks the last filters of its network")
    return rough_model, rough_network
