# For scripts that fetch packages of another Debian release from the mirror that this machine's apt is set up
# with: to be read by them, not run.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The address of the first Debian archive among apt's sources.
mirror() {
  apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 2>/dev/null |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

# An apt of its own for a release: configuration, lists and cache below DIRECTORY.
configure() {
  local directory=$1 release=$2
  mkdir -p "$directory"/{lists/partial,archives/partial}
  : >"$directory/status"
  echo "deb [signed-by=$keyring] $mirror $release main" >"$directory/sources.list"
  cat >"$directory/apt.conf" <<CONF
Dir::State "$directory";
Dir::State::Lists "$directory/lists";
Dir::State::status "$directory/status";
Dir::Cache "$directory";
Dir::Etc::SourceList "$directory/sources.list";
Dir::Etc::SourceParts "-";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
}
