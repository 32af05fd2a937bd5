"""The pure core: decides, and never asks a clock, a network, a disk or chance."""
