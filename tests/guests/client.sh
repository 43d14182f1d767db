# Role: a PPTP client of Debian's own programs. Sourced by init.sh.
#
# Settings: server, user, password, data_path (pptp-linux or kernel), pppd_options (extra).
# Files: link appears when the network is up; script.sh is then run, with $peer set to the server's
# address inside the tunnel; pppd.log and pppd.status tell how it went.
. /job/settings
. /job/common.sh

case $data_path in
pptp-linux) link=(pty "pptp $server --nolaunchpppd") ;;
kernel) link=(plugin /job/pptp-call.so pptp-server "$server") ;;
esac
: >/etc/ppp/options
write_secrets "$user" "$password"
write_ip_up

pppd "${link[@]}" nodetach debug logfd 2 noauth nodefaultroute maxfail 1 \
    user "$user" remotename server mtu 1400 mru 1400 \
    refuse-pap refuse-chap refuse-mschap refuse-eap require-mppe-128 \
    nobsdcomp nodeflate novj novjccomp $pppd_options >/job/pppd.log 2>&1 &
pppd=$!

link_is_decided() {
    [ -e /job/link ] || ended $pppd
}
wait_for 30 link_is_decided
if [ -e /job/link ]; then
    read -r interface ours peer </job/link
    . /job/script.sh
    kill -TERM $pppd
fi
wait_for 10 ended $pppd || kill -KILL $pppd
wait $pppd
echo $? >/job/pppd.status
