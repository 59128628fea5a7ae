"""Compiled loops, and nothing else: kernels never validate, allocate results or fail.

The only package that imports numba; it imports nothing else of ours.
"""
