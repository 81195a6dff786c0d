#!/usr/bin/env bash
# Installs the Debian packages that a list names, unless they are there in that version or a later one.
# usage: apt.sh LIST
set -euo pipefail
list=$1

missing=()
while IFS='=' read -r name pinned; do
	installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}' "$name" 2>/dev/null || true)
	if [[ $installed != "installed "* ]] || dpkg --compare-versions "${installed#installed }" lt "$pinned"; then
		missing+=("$name=$pinned")
	fi
done < <(grep -v -e '^#' -e '^$' "$list")
if ((${#missing[@]} == 0)); then
	exit 0
fi
if ((EUID != 0)); then
	echo "apt.sh: these Debian packages are missing: ${missing[*]}; run this once as root" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
wanted=()
for package in "${missing[@]}"; do
	name=${package%%=*} pinned=${package#*=}
	if apt-cache madison "$name" | awk '{print $3}' | grep -Fxq -- "$pinned"; then
		wanted+=("$package")
	else
		echo "apt.sh: $name $pinned has gone from the archive; installing the current version: correct $list" >&2
		wanted+=("$name")
	fi
done
apt-get install -qq -y --no-install-recommends "${wanted[@]}" </dev/null
