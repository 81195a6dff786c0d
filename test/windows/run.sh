#!/usr/bin/env bash
# Runs the tests of the named packages as Windows programs under Wine. install.sh comes first.
# usage: run.sh PACKAGE...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$windows/../.."

trap 'wineserver --kill || true' EXIT
wineserver --persistent </dev/null >/dev/null 2>&1
GOOS=windows GOARCH=amd64 CGO_ENABLED=0 \
	go test -count=1 -p 1 -timeout 5m -overlay "$cache/overlay.json" -exec "$windows/winego" "$@" </dev/null
