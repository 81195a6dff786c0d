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

# build_go is install_go for a module of which the proxy does not list the versions, as go install wants.
build_go() {
	local program=$1 module=$2 version=$3 package=$4 dir
	if ! go version -m "$bin/$program" 2>/dev/null | awk '$1 == "mod" {print $2 "@" $3}' | grep -Fxq "$module@$version"; then
		dir=$(mktemp -d)
		printf 'module peers\n\ngo 1.24\n\nrequire %s %s\n' "$module" "$version" >"$dir/go.mod"
		(cd "$dir" && GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o "$dir/$program" "$package")
		mv "$dir/$program" "$bin/$program"
		rm -r "$dir"
	fi
}

"$here/apt.sh" "$here/apt-packages.txt"
install_go grpcurl github.com/fullstorydev/grpcurl v1.9.4 github.com/fullstorydev/grpcurl/cmd/grpcurl
install_go versitygw github.com/versity/versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw
build_go s5cmd github.com/peak/s5cmd/v2 v2.3.0 github.com/peak/s5cmd/v2

# install_bagit takes bagit.py, the Library of Congress' own BagIt program, from a Go module that carries it.
install_bagit() {
	local module=github.com/artefactual-labs/bagit-gython version=v0.2.0 sum=h1:Zje4Lb1goZVUPoxpc/k65sWtYpNgK9Rvphvaok5cYzE= to=$bin/bagit dir answer
	if [ "$(cat "$to/installed" 2>/dev/null)" = "$version" ]; then
		return
	fi
	answer=$(go mod download -json "$module@$version")
	grep -Fq "\"$sum\"" <<<"$answer" || { echo "$module@$version is not what was pinned" >&2; exit 1; }
	dir=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$answer")
	mkdir -p "$to"
	cp -r --no-preserve=mode "$dir"/internal/dist/data/linux-amd64/bagit* "$to/"
	echo "$version" >"$to/installed"
}
install_bagit

# install_npm installs the locked packages of npm/ into bin/peers/npm, without running anything of theirs.
install_npm() {
	local to=$bin/npm
	if cmp -s "$here/npm/package-lock.json" "$to/installed"; then
		return
	fi
	mkdir -p "$to"
	cp "$here/npm/package.json" "$here/npm/package-lock.json" "$to/"
	npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel=error
	cp "$here/npm/package-lock.json" "$to/installed"
}
install_npm
