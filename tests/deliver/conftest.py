"""Kernels for the magics of deliveries."""

from tests.notebook.conftest import kernel, shared_kernel

__all__ = ["kernel", "shared_kernel"]
