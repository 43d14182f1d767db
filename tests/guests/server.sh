# Role: Debian's pptpd. Sourced by init.sh.
#
# Settings: logins (each user followed by its password), ours and peers (addresses inside the tunnels, as
# pptpd.conf has them), options (of pppd).
# Files: ready appears when TCP 1723 is open. order.N, counted from 1, is bash that is run here, with
# what is defined here; answer.N is what it printed, when it has ended. The guest ends when stop
# appears.
. /job/settings
. /job/common.sh

# pppd_options WORD...: what the next calls are answered with; pppd reads its file call by call.
pppd_options() {
    rm -f /job/link /job/link6
    cat >/etc/ppp/options.pptpd <<OPTIONS
name server
debug
logfile /job/pppd.log
auth
nobsdcomp
nodeflate
novj
novjccomp
mtu 1400
mru 1400
$*
OPTIONS
}

# 06BB is 1723, state 0A is LISTEN.
listening() {
    grep -q ':06BB 00000000:0000 0A' /proc/net/tcp
}

start_pptpd() {
    pptpd --fg --conf /etc/pptpd.conf >>/job/pptpd.log 2>&1 &
    wait_for 10 listening
}

# One pptpctrl and one pppd a call.
calls_are_gone() {
    ! pidof pptpctrl pppd >/dev/null
}

# Ends all of it at once. No process says goodbye; the kernel closes the control connections.
kill_pptpd() {
    busybox killall -9 pptpd pptpctrl pppd
    wait_for 10 calls_are_gone
}

# Ends the calls in order: pppd closes LCP, and pptpctrl the call and its connection. A client may
# have dialled again by then.
hang_up() {
    hung_up=$(pidof pppd)
    kill $hung_up
    wait_for 10 hung_up_are_gone
}

hung_up_are_gone() {
    local pid
    for pid in $hung_up; do
        [ ! -e "/proc/$pid" ] || return
    done
}

# reaches ADDRESS: that the call of this address is up here too; sets $interface.
reaches() {
    local found
    found=$(ip -4 route show "$1")
    interface=${found#* dev }
    interface=${interface%% *}
    [ -n "$found" ]
}

# Without it pppd would refuse IPV6CP.
busybox modprobe ipv6
: >/etc/ppp/options
write_secrets $logins
write_ip_up
pppd_options $options
cat >/etc/pptpd.conf <<OPTIONS
option /etc/ppp/options.pptpd
localip $ours
remoteip $peers
OPTIONS
start_pptpd && : >/job/ready

something_to_do() {
    [ -e "/job/order.$number" ] || [ -e /job/stop ]
}
for ((number = 1; ; number++)); do
    wait_for 300 something_to_do
    [ -e "/job/order.$number" ] || break
    (. "/job/order.$number") >"/job/answer.new" 2>&1
    mv /job/answer.new "/job/answer.$number"
done
busybox killall pptpd
