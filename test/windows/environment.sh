# Sourced by the scripts beside it: where Wine lives, and how it runs without a screen.
windows=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$windows/../../bin/windows"
cache=$(cd "$windows/../../bin/windows" && pwd)
export WINEPREFIX=$cache/prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree=;mshtml="
