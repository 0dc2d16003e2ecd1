#!/bin/sh
# make-venv.sh PYTHON VENV: a virtual environment with pip, also where Debian has taken ensurepip out of Python.
# There pip comes from Debian's own package, unpacked and not installed, so that nobody has to be root.
set -eu
python=$1
venv=$2
"$python" -m venv "$venv" >/dev/null 2>&1 && exit 0
"$python" -m venv --without-pip "$venv"
command -v apt-get >/dev/null || {
    echo "This Python has no pip. Install its venv support and run make again." >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && { apt-get -qq download python3-pip-whl || { apt-get -qq update && apt-get -qq download python3-pip-whl; }; }) >&2 || {
    echo "pip cannot be fetched. Install it (apt install python3-venv) and run make again." >&2
    exit 1
}
dpkg -x "$folder"/python3-pip-whl_*.deb "$folder/files"
wheel=$(ls "$folder"/files/usr/share/python-wheels/pip-*.whl)
"$venv/bin/python" "$wheel/pip" install --quiet --no-index "$wheel"
