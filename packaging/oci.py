#!/usr/bin/env python3
"""Writes a container image (OCI image layout 1.0, in a tar) without a container engine.

The first layer has files of a few Debian packages: the C library, the boot programs, the certificates.
The second has those of the .deb. Neither has a shell or a package manager.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGES = ["libc6", "libgcc-s1", "ca-certificates", "ipxe", "shim-signed", "grub-efi-{arch}-signed"]
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info", "etc/init.d",
            "etc/kernel", "usr/share/bash-completion", "usr/share/zsh", "usr/share/fish", "usr/sbin")
USERS = "root:x:0:0:root:/root:/sbin/nologin\nrackstrap:x:990:990:rackstrap:/var/lib/rackstrap:/sbin/nologin\n"
GROUPS = "root:x:0:\nrackstrap:x:990:\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("deb", "version", "arch", "epoch", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    epoch = int(given.epoch)
    with tempfile.TemporaryDirectory() as directory:
        base, program = Path(directory, "base"), Path(directory, "program")
        for root in (base, program):
            (root / "usr/lib").mkdir(parents=True)
            # A directory in an upper layer would hide the link of the lower one.
            (root / "lib").symlink_to("usr/lib")
        lay_out_base(base, Path(given.cache).resolve() / given.arch, given.arch)
        unpack(Path(given.deb), program)
        for root in (base, program):
            for path in LEFT_OUT:
                shutil.rmtree(root / path, ignore_errors=True)
        (program / "var/lib/rackstrap").mkdir(parents=True)
        layers = [layer(root, epoch) for root in (base, program)]
    write(Path(given.out), image(layers, given, epoch))


def lay_out_base(root, cache, arch):
    """Unpacks the Debian packages, whose scripts do not run."""
    (root / "usr/lib64").mkdir()
    (root / "lib64").symlink_to("usr/lib64")
    cache.mkdir(parents=True, exist_ok=True)
    names = [name.format(arch=arch) for name in PACKAGES]
    for name in names:
        if not list(cache.glob(f"{name}_*.deb")):
            wanted = name if name == "ipxe" or name == "ca-certificates" else f"{name}:{arch}"
            subprocess.run(["apt-get", "download", "-qq", wanted], cwd=cache, check=True)
        unpack(sorted(cache.glob(f"{name}_*.deb"))[-1], root)
    # What update-ca-certificates would do.
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in certificates))
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)
    for path in ("tmp", "proc", "sys", "dev", "run"):
        (root / path).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def unpack(deb, root):
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], input=files, check=True)


def layer(root, epoch):
    """The files below a directory as a tar that depends on nothing else."""
    data = io.BytesIO()

    def settle(entry):
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
        return entry

    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, path.relative_to(root), recursive=False, filter=settle)
    return data.getvalue()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(layers, given, epoch):
    """The blobs of the image, and its index."""
    blobs = {}

    def add(data, media_type):
        blobs[sha256(data)] = data
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    def document(content, media_type):
        return add(json.dumps(content, sort_keys=True).encode(), media_type)

    created = subprocess.run(["date", "-u", "-d", f"@{epoch}", "+%Y-%m-%dT%H:%M:%SZ"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.strip()
    kind = "application/vnd.oci.image."
    packed = [add(gzip.compress(data, 9, mtime=0), kind + "layer.v1.tar+gzip") for data in layers]
    labels = {"org.opencontainers.image.title": "rackstrap", "org.opencontainers.image.version": given.version}
    config = document({
        "created": created, "architecture": given.arch, "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/rackstrap"], "Cmd": ["serve"], "WorkingDir": "/var/lib/rackstrap",
            "Env": ["PATH=/usr/bin:/bin"], "Volumes": {"/var/lib/rackstrap": {}, "/etc/rackstrap": {}},
            "StopSignal": "SIGTERM", "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in layers]},
        "history": [{"created": created, "created_by": "Debian packages"},
                    {"created": created, "created_by": f"rackstrap {given.version}"}],
    }, kind + "config.v1+json")
    manifest = document({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": config, "layers": packed},
                        kind + "manifest.v1+json")
    manifest["platform"] = {"architecture": given.arch, "os": "linux"}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": given.version.replace("~", "-").replace("+", "-")}
    index = {"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [manifest]}
    files = {f"blobs/sha256/{digest[7:]}": data for digest, data in blobs.items()}
    files["index.json"] = json.dumps(index, sort_keys=True).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    return files


def write(path, files):
    incoming = path.with_suffix(".incoming")
    with tarfile.open(incoming, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    os.replace(incoming, path)


main()
