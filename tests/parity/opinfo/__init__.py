"""torch's own record of its operators (`op_db`) against ours; `python -m tests.parity.opinfo --help` tells of the sweep."""
