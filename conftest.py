"""Examples in Markdown pages are tests too."""

try:
    from sybil import Sybil
    from sybil.parsers.markdown import PythonCodeBlockParser
except ImportError:  # the tests marked `cuda` run with only torch or JAX and pytest
    pass
else:
    pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["*.md"]).pytest()
