# The concentrator of the demonstration.
/system identity
set name=greyhound-demo
/ppp profile
add local-address=10.0.0.1 name=demo only-one=yes use-encryption=required
/interface pptp-server server
set authentication=mschap2 default-profile=demo enabled=yes
/ppp secret
add name=MT-User password=StrongPass remote-address=10.0.0.5 service=pptp
