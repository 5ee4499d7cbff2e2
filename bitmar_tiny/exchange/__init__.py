# SPDX-License-Identifier: Apache-2.0
"""The model in the formats of the ecosystem: ONNX and LiteRT, written from one definition of the step, read
back, cross-checked.
"""
