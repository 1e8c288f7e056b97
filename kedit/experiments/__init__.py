# SPDX-License-Identifier: Apache-2.0
"""The papers' protocols, and each of their figures and tables as one declared experiment."""
