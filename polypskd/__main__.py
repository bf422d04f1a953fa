"""`python -m polypskd` is `polypskd`."""

from polypskd.cli import main

main()
