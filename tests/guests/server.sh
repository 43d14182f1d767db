# Role: Debian's pptpd. Sourced by init.sh.
#
# Settings: user, password, ours and peer (addresses inside the tunnel).
# Files: ready appears when TCP 1723 is open; the guest ends when stop appears.
. /job/settings
. /job/common.sh

: >/etc/ppp/options
write_secrets "$user" "$password"
write_ip_up
cat >/etc/ppp/options.pptpd <<OPTIONS
name server
debug
logfile /job/pppd.log
auth
require-mschap-v2
require-mppe-128
nobsdcomp
nodeflate
novj
novjccomp
mtu 1400
mru 1400
OPTIONS
cat >/etc/pptpd.conf <<OPTIONS
option /etc/ppp/options.pptpd
localip $ours
remoteip $peer
OPTIONS
pptpd --fg --conf /etc/pptpd.conf &
pptpd=$!

# 06BB is 1723, state 0A is LISTEN.
listening() {
    grep -q ':06BB 00000000:0000 0A' /proc/net/tcp
}
wait_for 10 listening && : >/job/ready

asked_to_stop() {
    [ -e /job/stop ]
}
wait_for 300 asked_to_stop
kill $pptpd
wait $pptpd
