"""The solvers that can be exported, by name."""

from __future__ import annotations

from gradprox.export.graph.gradient_graph import GraphGD, GraphNMAPG
from gradprox.export.graph.hqs_graph import GraphHQS
from gradprox.export.graph.proximal_graph import GraphFISTA, GraphPGD
from gradprox.export.graph.solver_graph import GraphSolver

GRAPH_SOLVERS: dict[str, type[GraphSolver]] = {
    kind.name: kind for kind in (GraphHQS, GraphFISTA, GraphNMAPG, GraphPGD, GraphGD)
}
