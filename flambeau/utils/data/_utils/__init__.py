"""The parts of a `DataLoader`: fetching, collating, workers and what passes between them."""

from . import collate, fetch, worker
