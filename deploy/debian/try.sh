#!/bin/sh
# try.sh PACKAGE.deb : installs it in a booted Debian 12 of its own, starts, kills, stops and purges it, and says what it saw.
# As root, with mmdebstrap and systemd-container; minutes, and a gigabyte in TMPDIR. Nothing of this computer is touched.
set -eu
[ $# = 1 ] && [ -f "$1" ] || {
    echo "try.sh PACKAGE.deb" >&2
    exit 2
}
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,adduser,ca-certificates bookworm "$root"
cp "$1" "$root/root/tandem.deb"

cat >"$root/root/inside.sh" <<'INSIDE'
set -u
wrong=0
is() { # what it is about, what it is, what it has to be
    if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "WRONG: $1: $2, not $3"; wrong=1; fi
}
of() { systemctl show -p "$1" --value tandem; }
until_it_says() { # waits for the journal
    timeout 120 journalctl -u tandem -f -n all --no-pager | grep -qm1 -e "$1"
}
dpkg -i /root/tandem.deb || wrong=1
is "nothing is started by itself" "$(systemctl is-active tandem) $(systemctl is-enabled tandem 2>/dev/null)" "inactive disabled"
is "settings are closed" "$(stat -c '%U %G %a' /etc/tandem)" "root tandem 750"
cat >/etc/tandem/tandem.toml <<'SETTINGS'
[desktop]
url = "postgres://tandem@127.0.0.1:1/office"
password_file = "${CREDENTIALS_DIRECTORY}/tandem.desktop"
[cloud]
url = "postgres://tandem@127.0.0.1:2/office"
[listen]
http = "127.0.0.1:9187"
[[table]]
name = "customer"
SETTINGS
chgrp tandem /etc/tandem/tandem.toml
chmod 640 /etc/tandem/tandem.toml
mkdir -p /etc/credstore
echo CREDENTIALS_DIRECTORY=/etc/credstore >/etc/tandem/.env
chmod 644 /etc/tandem/.env
echo secret | install -m 600 /dev/stdin /etc/credstore/tandem.desktop
systemctl start tandem
is "it is up, though no database is" "$?" 0
until_it_says "trying again"
tandem -c /etc/tandem/tandem.toml probe
is "it works" "$?" 0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do [ -n "$(of StatusText)" ] && break; sleep 5; done
is "it says how it is" "$(of StatusText | cut -d: -f1)" "cannot tell"
first=$(of MainPID)
kill -9 "$first"
for _ in 1 2 3 4 5 6; do sleep 5; [ "$(of ActiveState) $(of NRestarts)" = "active 1" ] && break; done
is "it comes back after kill -9" "$(of ActiveState) $(of NRestarts)" "active 1"
systemctl stop tandem
is "it stops clean" "$(of Result) $(of ExecMainStatus)" "success 0"
echo 'nonsense = 1' >>/etc/tandem/tandem.toml
systemctl start tandem 2>/dev/null
sleep 8
is "input that has to be mended is not tried for ever" "$(of ExecMainStatus) $(of NRestarts)" "2 0"
dpkg -r tandem && dpkg -P tandem || wrong=1
is "nothing stays" "$(ls -d /etc/tandem /var/lib/tandem /var/cache/tandem /var/log/tandem 2>/dev/null)$(getent passwd tandem)" ""
[ "$wrong" = 0 ] && echo "all is well"
INSIDE

cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/inside.sh
StandardOutput=file:/root/said
StandardError=file:/root/said
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
UNIT
ln -s /etc/systemd/system/try.service "$root/etc/systemd/system/multi-user.target.wants/"
# The container's end has an exit code of its own, which says nothing of what was tried.
timeout 600 systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --private-network --boot >/dev/null 2>&1 </dev/null || true
cat "$root/root/said"
grep -qx "all is well" "$root/root/said"
