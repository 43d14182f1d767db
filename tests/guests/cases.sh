# Role: a PPTP client that dials again and again, each time in another way. Sourced by init.sh.
#
# Settings: server, cases (their names, in order).
# Files: CASE.case says how to dial: data_path, user, password, options (of pppd), before and
# traffic (bash, the latter with $peer and $interface); CASE.link appears when the network is up,
# CASE.tried when the traffic has ended, and the call when CASE.seen appears; then CASE.status.
. /job/settings
. /job/common.sh

: >/etc/ppp/options
write_ip_up

seen() {
    [ -e "/job/$case.seen" ] || ended $pppd
}

link_is_decided() {
    [ -e /job/link ] || ended $pppd
}

for case in $cases; do
    rm -f /job/link /job/link6
    . "/job/$case.case"
    eval "$before"
    write_secrets "$user" "$password"
    case $data_path in
    pptp-linux) link=(pty "pptp $server --nolaunchpppd") ;;
    kernel) link=(plugin /job/pptp-call.so pptp-server "$server") ;;
    esac
    pppd "${link[@]}" nodetach debug logfd 2 noauth nodefaultroute maxfail 1 \
        user "$user" remotename server mtu 1400 mru 1400 refuse-eap \
        nobsdcomp nodeflate novj novjccomp "${options[@]}" >"/job/$case.log" 2>&1 &
    pppd=$!
    wait_for 30 link_is_decided
    if [ -e /job/link ]; then
        read -r interface ours peer </job/link
        cp /job/link "/job/$case.link"
        (eval "$traffic") >"/job/$case.output" 2>&1
        : >"/job/$case.tried"
        wait_for 20 seen
        kill -TERM $pppd
    fi
    wait_for 10 ended $pppd || kill -KILL $pppd
    wait $pppd
    echo $? >"/job/$case.status"
done
