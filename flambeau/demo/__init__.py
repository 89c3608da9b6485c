"""The demonstration: a small GPT trained on real text. Run `python -m flambeau demo`."""
