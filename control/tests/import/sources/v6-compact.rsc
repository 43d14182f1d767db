# may/31/2016 23:02:50 by RouterOS 6.35.1
# software id = 7QX2-W0LM
#
/interface pptp-client
add add-default-route=no connect-to=vpn.example.net disabled=no keepalive-timeout=\
    60 name=to-head-office password="p\$ss \"word\"" profile=office user=\
    "EXAMPLE\\branch"
add connect-to=198.51.100.7 name=spare password=pw user=spare
/ip pool
add name=clients next-pool=overflow ranges=10.40.40.10-10.40.40.99
add name=overflow ranges=10.40.41.0/25,10.40.42.7
/ppp profile
set *0 comment="left as it was" use-encryption=default
add bridge=lan change-tcp-mss=yes comment="\D0\9E\D1\84\D0\B8\D1\81" dns-server=\
    8.8.8.8,1.1.1.1 local-address=10.40.40.1 name=office only-one=yes \
    remote-address=clients use-encryption=required use-vj-compression=default
set *FFFFFFFE local-address=10.40.40.1 remote-address=overflow
/interface pptp-server server
set authentication=mschap2 default-profile=office enabled=yes max-mtu=1450
/ppp secret
add name=ann password="Spring 2016; yes" profile=office remote-address=\
    10.40.40.5 service=pptp
add caller-id=203.0.113.9 comment="caf\E9" name=bob password=bob
add disabled=yes name="SHOP\\till 1" password="a\\b" service=pptp
add name=eve password=x profile=*5 service=l2tp
add name=mallory profile=office
