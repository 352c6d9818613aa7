# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # root, repository and found are variables of boot.sh
# Checks of boot.sh for the companions of the daemon: the page (earshot-web) and the notifications (earshot-notify).
# A program in the machine is the phone: it writes each notification to /run/phone/notifications.

companions=(earshot-web earshot-notify)
web_token=0123456789abcdef0123456789abcdef

# Add a token, the phone and its address, and a short time until a restart.
furnish_companions() {
    local unit
    (umask 077 && echo "$web_token" >"$root/etc/credstore/earshot.web_token")
    (umask 077 && echo "phone=json://127.0.0.1:8099/" >"$root/etc/credstore/earshot.notify_services")
    install -m 644 "$repository/tests/deploy/phone.py" "$root/opt/phone.py"
    cat >"$root/etc/systemd/system/phone.service" <<-'END'
		[Service]
		RuntimeDirectory=phone
		ExecStart=/usr/bin/python3 /opt/phone.py 8099 /run/phone/notifications
	END
    for unit in "${companions[@]}"; do
        mkdir -p "$root/etc/systemd/system/$unit.service.d"
        printf '[Service]\nRestartSec=1\n' >"$root/etc/systemd/system/$unit.service.d/test.conf"
    done
}

companions_start() {
    in_machine systemctl start phone "${companions[@]}" && until_true 90 metrics_have "earshot_online 1" &&
        until_true 60 is_notified
}

# Print status and body of an answer of the page: page METHOD PATH [HEADER=VALUE...]
page() {
    in_machine python3 - "$@" <<-'END'
		import sys, urllib.error, urllib.request
		method, path, *headers = sys.argv[1:]
		request = urllib.request.Request(
		    f"http://127.0.0.1:8470{path}", b"" if method == "POST" else None,
		    dict(header.split("=", 1) for header in headers), method=method)
		try:
		    answer = urllib.request.urlopen(request, timeout=10)
		except urllib.error.HTTPError as error:
		    answer = error
		except OSError as error:
		    sys.exit(f"the page does not answer: {error}")
		print(answer.status, answer.read().decode())
	END
}

metrics_have() { page GET /metrics 2>/dev/null | grep -q "^$1"; }

# Publish an event of another node, and return whether the phone has a notification of it.
is_notified() {
    local label=test$RANDOM
    in_machine mosquitto_pub -u earshot -P secret -t earshot/other/event -m \
        "{\"id\": \"$label\", \"event_id\": \"$label\", \"type\": \"start\", \"label\": \"$label\"}" || return
    for _ in 1 2 3; do
        ! phone_has "$label (other)" || return 0
        sleep 1
    done
    return 1
}

phone_has() { in_machine grep -qiF "$1" /run/phone/notifications 2>/dev/null; }

companions_are_confined() {
    local unit process listening exposures=
    for unit in "${companions[@]}"; do
        process=$(pid "$unit")
        has_no_privilege "$process" && writes_nowhere "$process" /etc /usr /opt /var /root &&
            exposures+="$unit $(exposure "$unit"), " || return
    done
    listening=$(in_machine ss --no-header --listening --processes --tcp --udp)
    [ "$(grep "pid=$(pid earshot-web)," <<<"$listening" | awk '{ print $5 }')" = 127.0.0.1:8470 ] || return
    ! grep -q "pid=$(pid earshot-notify)," <<<"$listening" || return
    ! as_its_user earshot-notify ls /var/lib/private/earshot 2>/dev/null && as_its_user earshot-web ls /var/lib/earshot >/dev/null || return
    found=${exposures%, }
}

# Run a command as the user of a unit and in its mount namespace: as_its_user UNIT COMMAND...
as_its_user() {
    local process
    process=$(pid "$1")
    shift
    in_machine sh -c "exec nsenter -t $process --mount --setuid=\$(stat -c %u /proc/$process) -- $*"
}

page_refuses() {
    [[ $(page GET /) == 200* && $(page GET / Host=evil.example) == 4* && $(page POST /teach) == 40[13]* &&
        $(page POST /teach "Authorization=Bearer $web_token" Origin=http://evil.example) == 403* ]]
}

# The event of publishes_an_event is on the page and on the phone.
event_is_shown() {
    until_true 30 phone_has "(mailbox)" && metrics_have "earshot_events_total{" && page GET / | grep -q 'events/' || return
    found="notifications $(memory earshot-notify) MB, page $(memory earshot-web) MB at most"
}

memory() { in_machine sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\)... kB/\1/p' "/proc/$(pid "$1")/status"; }

companions_survive_the_broker() {
    local web notify
    web=$(pid earshot-web) notify=$(pid earshot-notify)
    in_machine systemctl stop mosquitto && until_true 30 metrics_have "earshot_broker_connected 0" || return
    in_machine systemctl start mosquitto && until_true 90 metrics_have "earshot_online 1" && until_true 90 is_notified &&
        [ "$(pid earshot-web) $(pid earshot-notify)" = "$web $notify" ]
}

companions_are_restarted() {
    local unit before
    for unit in "${companions[@]}"; do
        before=$(pid "$unit")
        in_machine kill -KILL "$before" && until_true 60 is_another_than "$before" "$unit" || return
    done
    until_true 90 metrics_have "earshot_online 1" && until_true 90 is_notified
}

companions_stop() {
    local began=$EPOCHREALTIME daemon unit
    daemon=$(pid)
    for unit in "${companions[@]}"; do
        in_machine systemctl stop "$unit" && [ "$(property Result "$unit")" = success ] &&
            [ "$(property ActiveState "$unit")" = inactive ] || return
    done
    found="in $(since "$began") s, and the daemon goes on"
    awk -v took="$(since "$began")" 'BEGIN { exit took >= 10 }' && is_running && [ "$(pid)" = "$daemon" ]
}
