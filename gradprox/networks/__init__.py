"""Gradient networks: maps with a symmetric Jacobian, monotone ones among them, by construction."""

from gradprox.networks.base import GradientNetwork
from gradprox.networks.identity_path import IdentityPath, IdentityPathConfig

__all__ = ["GradientNetwork", "IdentityPath", "IdentityPathConfig"]
