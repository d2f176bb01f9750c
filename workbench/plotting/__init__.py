"""Figures: one a file. Expressions, records and runs in, a Matplotlib figure out.

`workbench.plotting.save.save` writes any of them; the same input always gives the same bytes.
"""
