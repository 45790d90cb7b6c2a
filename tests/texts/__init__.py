"""Every text that a user can meet: `python -m tests.texts` prints it, `tests/unit/test_texts.py` holds it clean.

`collect` says where the texts are, `python_source` and `page_source` read them out of sources, `dialect` lists the
words that they must not use and the better term for each.
"""
