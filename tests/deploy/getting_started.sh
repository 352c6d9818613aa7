#!/usr/bin/env bash
# Does what docs/getting_started.md has people do on the Pi, under a real systemd: install, a broker with passwords and
# access rules, the service pointed at it, a look whether all is well, and an event that arrives.
#   sudo tests/deploy/getting_started.sh [FOLDER]
# FOLDER (default: /var/tmp/earshot-boot) keeps a Debian bookworm for the next time. Needs debootstrap, systemd-container,
# and port 1883 of this machine, whose network it shares.
set -euo pipefail
# shellcheck source=tests/deploy/roots.sh
. "$(dirname "$0")/roots.sh"
# shellcheck source=tests/deploy/nspawn.sh
. "$(dirname "$0")/nspawn.sh"
folder=${1:-/var/tmp/earshot-boot}
root=$folder/bookworm-amd64-getting-started

main() {
    make_root "$folder/bookworm-amd64" bookworm amd64 ca-certificates,systemd,systemd-sysv,dbus
    copy_root "$folder/bookworm-amd64" "$root"
    give_project "$root" /root/earshot
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts" # as every Debian that was not debootstrapped has
    trap halt_root EXIT
    boot_root "$root"

    say "--- 4. Install Earshot"
    on_the_pi apt-get update -qq
    on_the_pi apt-get install -y -qq mosquitto-clients
    on_the_pi /root/earshot/deploy/install.sh

    say "--- 6. A broker"
    on_the_pi apt-get install -y -qq mosquitto
    steps | in_machine bash -euo pipefail
    # What the page has people type into nano.
    on_the_pi sed -i -e 's/^node_id: .*/node_id: balcony/' -e 's/^  username: .*/  username: balcony/' /etc/earshot/config.yaml
    on_the_pi mkdir -p -m 700 /etc/credstore
    echo "word of balcony" | in_machine tee /etc/credstore/earshot.mqtt_password >/dev/null
    on_the_pi chmod 600 /etc/credstore/earshot.mqtt_password
    on_the_pi systemctl restart earshot

    say "--- Is all well? No microphone is there, and no clock is set; all else must be."
    in_machine earshot check | tee "$root.check" || true
    faults=$(grep --invert-match '^\[ok\]' "$root.check" | grep --invert-match --extended-regexp ' (microphone|clock|sound access): ' || true)
    [ -z "$faults" ] || fail "$faults"
    grep --quiet 'broker: localhost:1883 accepts the connection' "$root.check" || fail "the broker does not let it in"
    until_true 30 is_online || fail "the service does not reach the broker"

    say "--- And now bark: the recording, in the place of a microphone"
    on_the_pi systemctl stop earshot
    # As a unit: what entered the machine and still runs would keep it from halting.
    in_machine systemd-run --quiet --unit=subscriber --property=StandardOutput=file:/root/events \
        --property=Environment=PYTHONUNBUFFERED=1 earshot events
    sleep 5
    in_machine env STATE_DIRECTORY=/tmp/bark earshot run --input /root/earshot/deploy/demo/street.flac --speed max --exit-at-end
    until_true 20 grep --quiet 'start  dog_bark .*(balcony)' "$root/root/events" || fail "no bark arrives: $(cat "$root/root/events")"
    say "all good"
}

# Commands as the page has them; who has a root shell needs no sudo.
on_the_pi() { in_machine env DEBIAN_FRONTEND=noninteractive "$@"; }

# The page's block that sets the broker up, with passwords typed in.
steps() {
    sed -n '/^sudo apt install -y mosquitto$/,/^```$/p' "$repository/docs/getting_started.md" |
        sed -e '1d' -e '/^```$/d' -e 's/^sudo //' -e 's/ *# .*//' \
            -e 's/^mosquitto_passwd .* \([a-z]*\)$/printf "word of \1\\nword of \1\\n" | &/'
}

is_online() {
    [ "$(in_machine mosquitto_sub -u homeassistant -P 'word of homeassistant' -t earshot/balcony/status -C 1 -W 5)" = online ]
}

main "$@"
