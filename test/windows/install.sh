#!/usr/bin/env bash
# Installs Wine and a C compiler for Windows from Debian (as root), and makes in bin/windows a Wine prefix in which
# Go programs run, and the build overlay that their tests need. A second run takes a moment.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

"$windows/../peers/apt.sh" "$windows/apt-packages.txt"

if [[ ! -e $cache/prefix-made ]]; then
	rm -rf "$WINEPREFIX"
	timeout 300 wineboot --init </dev/null >"$cache/wineboot.log" 2>&1
	timeout 60 wineserver --wait
	touch "$cache/prefix-made"
fi

shim=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
if [[ $windows/processprng.c -nt $shim ]]; then
	x86_64-w64-mingw32-gcc -O2 -Wall -shared -nostartfiles -Wl,-e,DllMain -o "$shim" "$windows/processprng.c" -ladvapi32
fi

# Wine 8 has no FileDispositionInformationEx, and answers with an error for which Go does not take its own
# fallback: os.Remove and os.RemoveAll fail. The overlay makes Go take the fallback always.
original=$(go env GOROOT)/src/internal/syscall/windows/at_windows.go
sed 's/^\tif TestDeleteatFallback {$/\tif true {/' "$original" >"$cache/at_windows.go"
if cmp -s "$original" "$cache/at_windows.go"; then
	echo "install.sh: $original no longer has the lines that the overlay replaces: mend the overlay" >&2
	exit 1
fi
printf '{"Replace": {"%s": "%s"}}\n' "$original" "$cache/at_windows.go" >"$cache/overlay.json"
