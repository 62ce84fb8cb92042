# Makes the installer's packages that the mirror lacks: read by get-debian-mirror.sh, in whose directory it runs.
# Three scripts stand for the partitioner, GRUB's installer and the last step, which no package for machines has;
# the others are the installer's own scripts, taken from packages and source of the same release.
parts=$tools/installer-parts

# Writes udebs/NAME.udeb of the tree in work/NAME. The menu knows its items by their descriptions.
udeb() {
  local name=$1 menu=$2 depends=$3 provides=$4 tree=work/$1
  mkdir -p "$tree/DEBIAN"
  {
    printf '%s\n' "Package: $name" "Version: 99" "Architecture: all" "Maintainer: none" "Section: debian-installer" \
      "Priority: standard" "Description: stand-in for a test: $name"
    [ -z "$menu" ] || echo "Installer-Menu-Item: $menu"
    [ -z "$depends" ] || echo "Depends: $depends"
    [ -z "$provides" ] || echo "Provides: $provides"
  } >"$tree/DEBIAN/control"
  dpkg-deb --root-owner-group -Zxz -b "$tree" "udebs/${name}_99_all.udeb" >/dev/null
}

# Unpacks paths of a package for machines into a tree.
take() {
  local tree=$1 package=$2
  shift 2
  (cd work && of_debs apt-get -qq download "$package")
  mkdir -p "$tree"
  dpkg-deb --fsys-tarfile "work/${package}"_*.deb | tar -x -C "$tree" --wildcards "$@"
  rm -f "work/${package}"_*.deb
}

# A script as the postinst, which is what the installer's menu runs.
postinst() {
  mkdir -p "$1/DEBIAN"
  install -m 755 "$2" "$1/DEBIAN/postinst"
}

# What the missing ones need, or what replaces them, goes too.
rm -f udebs/partman-* udebs/kickseed-* udebs/rdate-* udebs/*_99_all.udeb

take work/debootstrap-udeb debootstrap './usr/sbin/*' './usr/share/debootstrap/*'
udeb debootstrap-udeb "" mounted-partitions ""

take work/user-setup-udeb user-setup './usr/lib/user-setup/*'
(cd work && of_debs apt-get -qq download user-setup && dpkg-deb -e user-setup_*.deb user-setup-control)
mkdir -p work/user-setup-udeb/DEBIAN work/user-setup-udeb/usr/lib/finish-install.d
cp work/user-setup-control/templates work/user-setup-udeb/DEBIAN/templates
postinst work/user-setup-udeb "$parts/user-setup"
printf '#!/bin/sh\nexec /usr/lib/user-setup/user-setup-apply /target\n' >work/user-setup-udeb/usr/lib/finish-install.d/06user-setup
chmod 755 work/user-setup-udeb/usr/lib/finish-install.d/06user-setup
udeb user-setup-udeb 2400 cdebconf-udeb ""

(cd work && of_debs apt-get -qq source --download-only apt-setup && dpkg-source --no-check -x apt-setup_*.dsc apt-setup >/dev/null)
for name in apt-setup-udeb apt-mirror-setup; do
  mkdir -p "work/$name/DEBIAN"
  while read -r from to; do
    mkdir -p "work/$name/$to"
    cp -r "work/apt-setup/$from" "work/$name/$to/"
  done <"work/apt-setup/debian/$name.install"
  # Templates without their translations.
  sed -e '/^#/d' -e 's/^__*//' -e 's/@MULTIARCH@//' "work/apt-setup/debian/$name.templates" >"work/$name/DEBIAN/templates"
done
postinst work/apt-setup-udeb work/apt-setup/debian/apt-setup-udeb.postinst
udeb apt-mirror-setup "" "choose-mirror-bin, base-installer, cdebconf-udeb" ""
udeb apt-setup-udeb 7000 "apt-mirror-setup, installed-base, di-utils, cdebconf-udeb" ""

take work/test-partitions e2fsprogs './sbin/mke2fs' './etc/mke2fs.conf'
take work/test-partitions libext2fs2 './lib/*.so.*'
take work/test-partitions libcom-err2 './lib/*.so.*'
postinst work/test-partitions "$parts/partitions"
udeb test-partitions 4200 "cdebconf-udeb, di-utils" "created-fstab, made-filesystems, mounted-partitions, partitioned-harddrives, harddrive-detection, di-utils-mapdevfs"

postinst work/test-grub "$parts/grub"
udeb test-grub 7400 "cdebconf-udeb, kernel-installer, created-fstab, di-utils" bootable-system

postinst work/test-finish "$parts/finish"
udeb test-finish 7800 "cdebconf-udeb, installed-base, created-fstab, bootable-system" ""
