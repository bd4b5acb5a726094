"""What is predicted: one combinatorial object per file, each with its maximiser."""

from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.blackbox import BlackBox
from structgrad.polytopes.correlated_subset import CorrelatedSubset
from structgrad.polytopes.exponential import ExponentialFamily
from structgrad.polytopes.grid_path import GridPath
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.k_best import k_best
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.polytopes.subset import Subset

__all__ = [
    "Arborescence",
    "BlackBox",
    "CorrelatedSubset",
    "ExponentialFamily",
    "GridPath",
    "Hypercube",
    "Matching",
    "Permutahedron",
    "Polytope",
    "Simplex",
    "SpanningTree",
    "Subset",
    "k_best",
]
