"""Sphinx configuration."""

import importlib
import pkgutil

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

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


def defining_module(app: Sphinx, package: str | None, name: str) -> str | None:
    """The private module with the source of a public class or function, whose `__module__` is the package."""
    if package not in ("kernels_core", "kernels_film", "kernels_jax"):
        return None
    folder = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(folder, f"{package}."):
        if name in ModuleAnalyzer.for_module(module.name).find_tags():
            return module.name
    return None


def setup(app: Sphinx) -> None:
    app.connect("viewcode-follow-imported", defining_module)
