"""Options that make a run of the command line small, and lines for it to train on."""

TINY = "--width 16 --blocks 1 --encoder-blocks 1 --batch 16 --warmup 2 --quiet".split()
LINES = ["the bank rose .", "the yen fell on friday .", "rain fell in paris , he said ."]
