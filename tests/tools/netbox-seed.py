"""Fills an empty NetBox with racks of hosts that are cabled to two leaves each, and prints a token.

Usage: netbox-seed.py HOSTS. Objects are made many at once, without the checks of forms; `connected_endpoints`
of the API shows that cables are whole.
"""

import sys

import django

django.setup()

from dcim.models import (
    Cable, CablePath, CableTermination, Device, DeviceRole, DeviceType, Interface, MACAddress,
    Manufacturer, Platform, Rack, Site,
)
from dcim.utils import object_to_path_node
from django.contrib.contenttypes.models import ContentType
from extras.models import Tag
from ipam.models import VLAN, IPAddress, Prefix
from tenancy.models import Tenant
from users.models import Token, User

PER_RACK = 40
hosts = int(sys.argv[1])
racks = -(-hosts // PER_RACK)

user = User.objects.create_superuser('admin', 'admin@example.org', 'admin')
token = Token(user=user, version=2)
token.save()

site = Site.objects.create(name='Hall 1', slug='hall-1')
Site.objects.create(name='Empty', slug='empty')
maker = Manufacturer.objects.create(name='Acme', slug='acme')
server = DeviceType.objects.create(manufacturer=maker, model='S1', slug='s1', u_height=1)
leaf = DeviceType.objects.create(manufacturer=maker, model='L48', slug='l48', u_height=1)
eos = Platform.objects.create(name='Arista EOS', slug='arista-eos')
role = DeviceRole.objects.create(name='Server', slug='server')
switch = DeviceRole.objects.create(name='Leaf switch', slug='leaf-switch')
power = DeviceRole.objects.create(name='PDU', slug='pdu')
tenant = Tenant.objects.create(name='Acme Corp', slug='acme-corp')
tag = Tag.objects.create(name='GPU', slug='gpu')
Prefix.objects.create(prefix='10.0.0.0/8', status='container')
bmcs = Prefix.objects.create(prefix='172.16.0.0/16', scope=site)


def many(model, objects):
    return model.objects.bulk_create(objects, batch_size=2000)


made_racks = many(Rack, [Rack(name=f'R{number + 1:03}', site=site, u_height=42) for number in range(racks)])
vlans = many(VLAN, [VLAN(vid=100 + number, name=f'rack-{number + 1}', site=site) for number in range(racks)])
nets = [f'10.{1 + number // 250}.{number % 250}' for number in range(racks)]
for net, vlan in zip(nets, vlans):
    Prefix.objects.create(prefix=f'{net}.0/24', vlan=vlan, scope=site)

leaves, servers = [], []
for number, rack in enumerate(made_racks):
    for position, side in ((41, 'a'), (42, 'b')):
        leaves.append(Device(name=f'leaf{number + 1:03}{side}', site=site, rack=rack, position=position, face='front',
                             role=switch, device_type=leaf, platform=eos))
for number in range(hosts):
    rack = number // PER_RACK
    servers.append(Device(name=f'r{rack + 1:03}-n{number % PER_RACK + 1:02}', site=site, rack=made_racks[rack],
                          position=number % PER_RACK + 1, face='front', role=role, device_type=server,
                          serial=f'S{number:05}', tenant=tenant if number == 0 else None))
leaves, servers = many(Device, leaves), many(Device, servers)
Device.objects.create(name='pdu1', site=site, role=power, device_type=server)
servers[0].tags.add(tag)


def interface(device, name, **more):
    return Interface(device=device, name=name, _site=site, _rack=device.rack, **more)


fast = '25gbase-x-sfp28'
ports = {(port.device_id, port.name): port for port in many(Interface, [
    interface(device, f'Ethernet{number + 1}', type=fast) for device in leaves for number in range(PER_RACK)])}
bonds = many(Interface, [interface(device, 'bond0', type='lag', mtu=9000) for device in servers])
nics = many(Interface, [interface(device, f'eno{number}', type=fast, lag=bond)
                        for device, bond in zip(servers, bonds) for number in (1, 2)])
managers = many(Interface, [interface(device, 'iDRAC', type='1000base-t', mgmt_only=True) for device in servers])

kind = ContentType.objects.get_for_model(Interface)


def give_macs(interfaces, first):
    macs = []
    for number, one in enumerate(interfaces):
        digits = f'02{first}{number:08x}'
        mac = ':'.join(digits[at:at + 2] for at in range(0, 12, 2))
        macs.append(MACAddress(mac_address=mac, assigned_object_type=kind, assigned_object_id=one.pk))
    for one, mac in zip(interfaces, many(MACAddress, macs)):
        one.primary_mac_address = mac


give_macs(nics, '0a')
give_macs(managers, '0b')
Interface.objects.bulk_update(managers, ['primary_mac_address'], batch_size=2000)

pairs = []
for number, nic in enumerate(nics):
    host, side = number // 2, number % 2
    device = leaves[host // PER_RACK * 2 + side]
    pairs.append((nic, ports[(device.pk, f'Ethernet{host % PER_RACK + 1}')]))
cables = many(Cable, [Cable(status='connected') for _ in pairs])
ends, paths = [], []
for cable, pair in zip(cables, pairs):
    for end, one, other in (('A', *pair), ('B', *reversed(pair))):
        one.cable, one.cable_end = cable, end
        ends.append(CableTermination(cable=cable, cable_end=end, termination_type=kind, termination_id=one.pk,
                                     _device=one.device, _rack=one.device.rack, _site=site))
        path = [[object_to_path_node(one)], [object_to_path_node(cable)], [object_to_path_node(other)]]
        paths.append(CablePath(path=path, _nodes=[node for hop in path for node in hop], is_active=True, is_complete=True))
many(CableTermination, ends)
paths = many(CablePath, paths)
ended = [one for pair in pairs for one in pair]
for one, path in zip(ended, paths):
    one._path = path
Interface.objects.bulk_update(ended, ['primary_mac_address', 'cable', 'cable_end', '_path'], batch_size=1000)

addresses = []
for number, (bond, manager) in enumerate(zip(bonds, managers)):
    rack, place = number // PER_RACK, number % PER_RACK + 11
    for address, one in ((f'{nets[rack]}.{place}/24', bond),
                         (f'172.16.{1 + rack}.{place}/16', manager)):
        addresses.append(IPAddress(address=address, assigned_object_type=kind, assigned_object_id=one.pk))
addresses = many(IPAddress, addresses)
for device, address in zip(servers, addresses[::2]):
    device.primary_ip4 = address
Device.objects.bulk_update(servers, ['primary_ip4'], batch_size=1000)
print(f'nbt_{token.key}.{token.token}')
