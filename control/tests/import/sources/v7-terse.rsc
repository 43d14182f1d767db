# 2025-11-30 08:00:00 by RouterOS 7.16
# system id = 0aHkQ9sT3xE
#
/interface bridge add name=lan
/interface bridge add name=dmz
/interface pptp-server add name=pptp-in-ann user=ann
/ip pool add name=a next-pool=b ranges=10.9.0.2-10.9.0.99
/ip pool add name=b next-pool=c ranges=10.9.1.2-10.9.1.99
/ip pool add name=c next-pool=a ranges=10.9.2.2-10.9.2.99
/ppp profile add local-address=10.9.0.1 name=shop rate-limit=2M/10M remote-address=a session-timeout=1d
/ppp profile set [ find default=yes ] dns-server=10.9.0.1
/ppp profile set [ find name=shop ] use-encryption=required
/interface pptp-server server set authentication=pap,mschap2 default-profile=shop enabled=yes
/ip address add address=10.9.0.1/16 interface=lan network=10.9.0.0
/ppp aaa set use-radius=yes
/ppp secret add name=ann password="" profile=shop routes="10.77.0.0/24 10.9.0.5 1" service=pptp
/ppp secret add name=ann password=two service=pptp
/ppp secret add name=fay password=fay remote-address=10.9.0.300 service=pptp
/ppp secret add name=gus password=gus service=wireguard
/ppp secret set [ find name=fay ] comment="set later"
/radius add address=10.9.9.9 secret=testing123 service=ppp
/radius incoming set accept=yes
/system identity set name=shop-1
