import sys
from pathlib import Path

# What makes bundles for the tests of the folder above does so for these, too.
sys.path.append(str(Path(__file__).resolve().parents[1]))
