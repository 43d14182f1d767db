# What the roles share. Sourced in a guest, after /job/settings.

# Waits without starting a program: reads from a pipe that nobody writes to. It fails always.
mkfifo /run/silence
exec {silence}<>/run/silence
pause() {
    read -rt "$1" -u "$silence"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local tries=$(($1 * 20))
    shift
    until "$@"; do
        ((tries-- > 0)) || return 1
        pause 0.05
    done
    return 0
}

ended() {
    ! kill -0 "$1" 2>/dev/null
}

# write_secrets USER PASSWORD [USER PASSWORD]...: the same lines for CHAP and PAP; pppd wants them
# readable by root only.
write_secrets() {
    umask 077
    printf '%s * %s *\n' "$@" >/etc/ppp/chap-secrets
    cp /etc/ppp/chap-secrets /etc/ppp/pap-secrets
    umask 022
}

# Debian's ip-up would start every script of ip-up.d; this one only tells that the link is up.
# It is renamed into place, so that whoever looks never sees half of it.
write_ip_up() {
    cat >/etc/ppp/ip-up <<'SCRIPT'
#!/bin/bash
echo "$1 $4 $5" >/job/link.new && mv /job/link.new /job/link
SCRIPT
    cat >/etc/ppp/ipv6-up <<'SCRIPT'
#!/bin/bash
echo "$1 $4 $5" >/job/link6.new && mv /job/link6.new /job/link6
SCRIPT
    chmod +x /etc/ppp/ip-up /etc/ppp/ipv6-up
}
