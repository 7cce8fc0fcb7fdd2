# SPDX-License-Identifier: GPL-2.0
"""The comparisons: each takes a text and a source, and returns what is wrong with the text."""
