"""Sphinx configuration."""

project = "kernels"
author = "The kernels authors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 2
exclude_patterns = ["_build", "benchmarks/*/results.md"]
default_role = "code"  # docstrings put code in single backticks
html_theme = "furo"
html_title = "kernels"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_custom_sections = [("Shapes", "notes_style")]
suppress_warnings = ["myst.header"]
