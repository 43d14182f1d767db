# 2026-01-05 21:59:12 by RouterOS 7.18.2
# system id = Wq1uYbNhPtF
#
/ip pool
add !comment name=pptp-pool next-pool=none ranges=192.168.79.10-192.168.79.200
/ppp profile
set *0 address-list="" !bridge !bridge-horizon bridge-learning=default \
    !bridge-path-cost !bridge-port-priority !bridge-port-trusted \
    !bridge-port-vid change-tcp-mss=yes !comment !dns-server !idle-timeout \
    !incoming-filter !insert-queue-before !interface-list !local-address name=\
    default on-down="" on-up="" only-one=default !outgoing-filter \
    !parent-queue !queue-type !rate-limit !remote-address !session-timeout \
    use-compression=default use-encryption=default use-ipv6=yes use-mpls=\
    default use-upnp=default !wins-server
add address-list="" !bridge !bridge-horizon bridge-learning=default \
    !bridge-path-cost !bridge-port-priority !bridge-port-trusted \
    !bridge-port-vid change-tcp-mss=default !comment dns-server=192.168.79.1 \
    !idle-timeout !incoming-filter !insert-queue-before !interface-list \
    local-address=192.168.79.1 name=road on-down="" on-up=\
    ":log info \"\$user is here\"" only-one=default !outgoing-filter \
    !parent-queue !queue-type !rate-limit remote-address=pptp-pool \
    !session-timeout use-compression=default use-encryption=required use-ipv6=\
    no use-mpls=default use-upnp=default !wins-server
set *FFFFFFFE address-list="" !bridge change-tcp-mss=yes !dns-server name=\
    default-encryption use-encryption=yes use-ipv6=yes
# PPTP connections are considered unsafe, it is suggested to use a more modern VPN protocol instead
/interface pptp-client
add add-default-route=no allow=mschap2 connect-to=192.0.2.40 dial-on-demand=no \
    disabled=no keepalive-timeout=60 max-mru=1450 max-mtu=1450 mrru=disabled \
    name=pptp-out1 profile=default-encryption use-peer-dns=no user=site-4
/interface pptp-server server
# PPTP connections are considered unsafe, it is suggested to use a more modern VPN protocol instead
set authentication=mschap1,mschap2 default-profile=*4 enabled=yes \
    keepalive-timeout=30 max-mru=1450 max-mtu=1450 mrru=1600
/ppp secret
add caller-id="" comment="" disabled=no ipv6-routes="" limit-bytes-in=0 \
    limit-bytes-out=0 !local-address name=carol profile=road !remote-address \
    !remote-ipv6-prefix routes="" service=pptp
add caller-id="" comment=sold disabled=yes limit-bytes-in=0 limit-bytes-out=0 \
    local-address=192.168.79.1 name=dave profile=road remote-address=\
    192.168.79.9 routes="" service=any
