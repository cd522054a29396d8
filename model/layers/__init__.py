"""The mathematics that both model families are built of, as their papers write it.

No module here knows a device, a precision or a layout of memory. What makes them fast is in `model.fast`: it replaces
the functions that are marked `@replaceable` and equals them.

Axis legend: hidden features are (B, T, V, C), B samples times persons, T frames, V joints, C channels last, so that a
1x1 convolution is a linear layer. Where tokens attend, they are (B, R, L, C): R rows (the frames or the joints of a
sample), each with L tokens (its joints or its frames).
"""
