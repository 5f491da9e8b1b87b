"""Packets made with the `meshtastic` package's protobufs: an encoder and decoder that is not ours."""

import base64
import functools
import operator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from meshtastic.protobuf import mesh_pb2, mqtt_pb2, portnums_pb2

DEFAULT_KEY = bytes.fromhex("d4f1bb3a20290759f0bcffabcf4e6901")
BROADCAST = 0xFFFFFFFF


def crypt(key, packet_id, sender, data):
    nonce = packet_id.to_bytes(8, "little") + sender.to_bytes(4, "little") + bytes(4)
    cipher = Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor()
    return cipher.update(data) + cipher.finalize()


def channel_hash(name, key):
    return functools.reduce(operator.xor, name.encode() + key, 0)


def text(words):
    return portnums_pb2.TEXT_MESSAGE_APP, words.encode()


def nodeinfo(node, long_name, short_name):
    user = mesh_pb2.User(id=f"!{node:08x}", long_name=long_name, short_name=short_name)
    return portnums_pb2.NODEINFO_APP, user.SerializeToString()


def envelope(sender, packet_id, content, gateway, *, to=BROADCAST, consent=True, hop_limit=3, hop_start=3,
             channel="LongFast", key=DEFAULT_KEY, rssi=-80, snr=5.5, request=0):
    """An encrypted packet as a gateway would uplink it."""
    port, payload = content
    data = mesh_pb2.Data(portnum=port, payload=payload, request_id=request)
    if consent is not None:
        data.bitfield = 1 if consent else 0
    packet = mesh_pb2.MeshPacket(id=packet_id, to=to, hop_limit=hop_limit, hop_start=hop_start,
                                 channel=channel_hash(channel, key), rx_rssi=rssi, rx_snr=snr, rx_time=1_795_000_000)
    setattr(packet, "from", sender)
    packet.encrypted = crypt(key, packet_id, sender, data.SerializeToString())
    return mqtt_pb2.ServiceEnvelope(packet=packet, channel_id=channel, gateway_id=gateway).SerializeToString()


def opened(payload, key=DEFAULT_KEY):
    """The envelope and its decrypted Data."""
    envelope = mqtt_pb2.ServiceEnvelope.FromString(payload)
    packet = envelope.packet
    data = mesh_pb2.Data.FromString(crypt(key, packet.id, getattr(packet, "from"), packet.encrypted))
    return envelope, data
