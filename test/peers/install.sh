#!/usr/bin/env bash
# Installs the peers that the peer tests run against: Debian packages (as root), and pinned Go programs into
# bin/peers. What is there already is left alone, so a second run takes a moment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$here/../../bin/peers
mkdir -p "$bin"

# install_go PROGRAM MODULE VERSION PACKAGE builds one program of a module at exactly that version.
install_go() {
	local program=$1 module=$2 version=$3 package=$4
	if ! go version -m "$bin/$program" 2>/dev/null | awk '$1 == "mod" {print $2 "@" $3}' | grep -Fxq "$module@$version"; then
		GOBIN=$(cd "$bin" && pwd) GOFLAGS= CGO_ENABLED=0 go install "$package@$version"
	fi
}

"$here/apt.sh" "$here/apt-packages.txt"
install_go grpcurl github.com/fullstorydev/grpcurl v1.9.4 github.com/fullstorydev/grpcurl/cmd/grpcurl
install_go versitygw github.com/versity/versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw
