#!/bin/sh
# Checks every file of this folder, then installs polypskd into NEW_FOLDER without any network.
set -eu

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

if [ $# -ne 1 ]; then
  printf 'usage: sh install.sh NEW_FOLDER   (PYTHON=... for another python3)\n' >&2
  exit 2
fi
case $1 in
  /*) place=$1 ;;
  *) place=$PWD/$1 ;;
esac
cd "$(dirname "$0")"
unset PYTHONPATH PYTHONHOME
[ ! -e "$place" ] || fail "$place: exists; give a new folder"

# First: is everything here, unchanged, and nothing else?
[ -f SHA256SUMS ] || fail "SHA256SUMS: missing; copy the folder anew"
sha256sum --check --strict --quiet SHA256SUMS >&2 || fail "a file differs; copy the folder anew"
strange=$(find . ! -type f ! -type d | head -n 1)
[ -z "$strange" ] || fail "$strange: neither file nor folder; copy the folder anew"
find . -type f ! -path './SHA256SUMS' ! -path './SHA256SUMS.asc' ! -path './SHA256SUMS.sig' \
  | while IFS= read -r file; do
    cut -c 67- SHA256SUMS | grep -Fqx -- "$file" || fail "$file: not in SHA256SUMS; remove it"
  done

python=${PYTHON:-python3}
read -r version machine < TARGET
found=$("$python" -I -c 'import platform, sys
print("%d.%d" % sys.version_info[:2], platform.machine())') || fail "$python: cannot be run"
[ "$found" = "$version $machine" ] \
  || fail "$python is Python $found; these wheels are for $version $machine (set PYTHON=...)"

made=no
trap '[ "$made" = yes ] || rm -rf -- "$place"' EXIT
trap 'exit 130' INT TERM
"$python" -I -m venv "$place" > /dev/null \
  || fail "$place: no virtual environment could be made (on Debian: package python3-venv)"
# Neither settings of pip nor an index are asked; each wheel is compared with its hash once more.
PIP_CONFIG_FILE=/dev/null "$place/bin/python" -I -m pip --isolated --disable-pip-version-check \
  install --quiet --no-index --no-deps --require-hashes --only-binary :all: --no-cache-dir \
  --find-links wheels --requirement requirements.txt || fail "pip refused (its words are above)"
"$place/bin/polypskd" version || fail "$place/bin/polypskd: does not run"
made=yes
printf 'Installed: %s\nRemove it with: rm -r %s\n' "$place/bin/polypskd" "$place"
