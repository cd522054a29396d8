"""Layers that both model families are built of; they know tensors, never configs or devices.

Axis legend of every layer: hidden features are `(B, T, V, C)`, B samples times persons, T frames, V joints,
C channels last: 1x1 convolutions are then linear layers, tokens of either axis need at most one transposition,
and temporal convolutions run in the channels-last form that both oneDNN and cuDNN prefer.
"""
