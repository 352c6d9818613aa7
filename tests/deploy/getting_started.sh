#!/usr/bin/env bash
# Test of docs/getting_started.md under a real systemd. Follows the steps of the page for the Pi: installation, a broker
# with passwords and access rules, the broker in the settings, `earshot check`, and an event that arrives.
#   sudo tests/deploy/getting_started.sh [FOLDER]
# FOLDER (default: /var/tmp/earshot-boot) keeps a Debian bookworm for the next run. Needs debootstrap,
# systemd-container, and port 1883 of this machine, because it shares this machine's network.
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
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts" # as on any Debian, except one made by debootstrap
    trap halt_root EXIT
    boot_root "$root"

    say "--- 4. Install Earshot"
    on_the_pi apt-get update -qq
    on_the_pi apt-get install -y -qq mosquitto-clients
    on_the_pi /root/earshot/deploy/install.sh

    say "--- 6. Connect a broker"
    on_the_pi apt-get install -y -qq mosquitto
    steps | in_machine bash -euo pipefail
    # The changes that the page makes with nano.
    on_the_pi sed -i -e 's/^node_id: .*/node_id: balcony/' -e 's/^  username: .*/  username: balcony/' /etc/earshot/config.yaml
    on_the_pi mkdir -p -m 700 /etc/credstore
    echo "word of balcony" | in_machine tee /etc/credstore/earshot.mqtt_password >/dev/null
    on_the_pi chmod 600 /etc/credstore/earshot.mqtt_password
    on_the_pi systemctl restart earshot

    say "--- earshot check: only the microphone and the clock may be at fault"
    in_machine earshot check | tee "$root.check" || true
    faults=$(grep --invert-match '^\[ok\]' "$root.check" | grep --invert-match --extended-regexp ' (microphone|clock|sound access): ' || true)
    [ -z "$faults" ] || fail "$faults"
    grep --quiet 'broker: localhost:1883 accepts the connection' "$root.check" || fail "the broker refuses the connection"
    until_true 30 is_online || fail "the service is not online at the broker"

    say "--- An event: the recording in place of a microphone"
    on_the_pi systemctl stop earshot
    # Run the subscriber as a unit: a process started from outside that still runs would keep the machine from halting.
    in_machine systemd-run --quiet --unit=subscriber --property=StandardOutput=file:/root/events \
        --property=Environment=PYTHONUNBUFFERED=1 earshot events
    sleep 5
    in_machine env STATE_DIRECTORY=/tmp/bark earshot run --input /root/earshot/deploy/demo/street.flac --speed max --exit-at-end
    until_true 20 grep --quiet 'start  dog_bark .*(balcony)' "$root/root/events" || fail "no event arrives: $(cat "$root/root/events")"
    say "all good"
}

# Run a command of the page, as root and therefore without sudo.
on_the_pi() { in_machine env DEBIAN_FRONTEND=noninteractive "$@"; }

# Print the page's block that sets up the broker, with the passwords piped in.
steps() {
    sed -n '/^sudo apt install -y mosquitto$/,/^```$/p' "$repository/docs/getting_started.md" |
        sed -e '1d' -e '/^```$/d' -e 's/^sudo //' -e 's/ *# .*//' \
            -e 's/^mosquitto_passwd .* \([a-z]*\)$/printf "word of \1\\nword of \1\\n" | &/'
}

is_online() {
    [ "$(in_machine mosquitto_sub -u homeassistant -P 'word of homeassistant' -t earshot/balcony/status -C 1 -W 5)" = online ]
}

main "$@"
