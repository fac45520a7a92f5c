"""Collection of the Python examples in Markdown pages as tests."""

try:
    from sybil import Sybil
    from sybil.parsers.markdown import PythonCodeBlockParser
except ImportError:  # tests marked `cuda` need only torch or JAX and pytest
    pass
else:
    pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["*.md"]).pytest()
