#!/bin/sh
# tessdata.sh FOLDER: data for the tests of OCR in FOLDER, English and German, from the system or from Debian's packages, unpacked
# and not installed, so that nobody has to be root. Where neither is to be had those tests are skipped: this never fails.
set -u
folder=$1
languages="eng deu"
mkdir -p "$folder" || exit 0

missing() {
    for language in $languages; do
        [ -s "$folder/$language.traineddata" ] || printf ' %s' "$language"
    done
}

for language in $(missing); do
    for place in "${TESSDATA_PREFIX:-/nowhere}" /usr/share/tesseract-ocr/*/tessdata /usr/share/tessdata \
        /usr/share/tesseract/tessdata /usr/local/share/tessdata /opt/homebrew/share/tessdata; do
        if [ -s "$place/$language.traineddata" ]; then
            cp "$place/$language.traineddata" "$folder/" && break
        fi
    done
done

if [ -n "$(missing)" ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    patient="-qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"
    packages=$(for language in $(missing); do printf ' tesseract-ocr-%s' "$language"; done)
    # shellcheck disable=SC2086
    (cd "$unpacked" && { apt-get $patient download $packages || { apt-get $patient update && apt-get $patient download $packages; }; }) \
        >/dev/null 2>&1 || true
    for package in "$unpacked"/*.deb; do
        [ -f "$package" ] && dpkg -x "$package" "$unpacked/files"
    done
    find "$unpacked" -name '*.traineddata' -exec cp {} "$folder/" \;
fi

if [ -n "$(missing)" ]; then
    echo "The tests of OCR that need data for$(missing) are skipped: install it (apt install tesseract-ocr-eng tesseract-ocr-deu)."
fi
exit 0
