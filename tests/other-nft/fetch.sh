#!/bin/bash
# usage: fetch.sh SUITE
#
# Downloads nft as a Debian suite has it (trixie, sid), with the C library and all else that it needs, and prints the path of a
# program that runs it. Nothing is installed, and apt's own lists stay as they are: everything is in a folder for the
# suite, which is asked no more once it is there. The mirror is the one that apt has for this machine.
#
# environment: OTHER_NFT_CACHE (target/other-nft)
set -euo pipefail
export LC_ALL=C.UTF-8
suite=$1
mkdir -p "${OTHER_NFT_CACHE:-target/other-nft}"
cache=$(realpath -e -- "${OTHER_NFT_CACHE:-target/other-nft}")
folder=$cache/$suite

exec 9>"$cache/lock"; flock 9
if [ ! -x "$folder/nft" ]; then
    [ "$(dpkg --print-architecture)" = amd64 ] || { echo "fetch: amd64 only" >&2; exit 1; }
    # The lists may not be there yet.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --no-release-info --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v release="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == release && $3 == "main" && !n++ { print $1 }')
    [ -n "$mirror" ] || { echo "fetch: apt has no mirror of Debian's" >&2; exit 1; }

    rm -rf "$folder.new"
    trap 'rm -rf "$folder.new"' EXIT
    mkdir -p "$folder.new"/{lists/partial,archives/partial,root}
    cd "$folder.new"
    # No package is installed as far as this apt knows, so it names all that are needed.
    touch status
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources
    apt=(timeout 180 apt-get -q -o "Dir::State=$PWD" -o "Dir::State::status=$PWD/status" -o "Dir::State::lists=$PWD/lists"
        -o "Dir::Cache=$PWD" -o "Dir::Etc::sourcelist=$PWD/sources" -o Dir::Etc::sourceparts=/dev/null
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Update::Error-Mode=any)
    "${apt[@]}" update >&2
    mapfile -t packages < <("${apt[@]}" install -s --no-install-recommends nftables | awk '/^Inst/ { print $2 }')
    [ ${#packages[@]} -gt 0 ] || { echo "fetch: $suite has no nftables" >&2; exit 1; }
    "${apt[@]}" download "${packages[@]}" >&2
    for package in *.deb; do dpkg-deb -x "$package" root; done
    rm -rf ./*.deb lists archives ./*.bin root/usr/share
    # Run by the C library's own loader, so that nothing of this machine's is taken.
    cat >nft <<'NFT'
#!/bin/sh
root=$(dirname "$0")/root/usr
exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$root/sbin/nft" "$@"
NFT
    chmod 755 nft
    ./nft --version >&2
    rm -rf "$folder"
    mv "$folder.new" "$folder"
fi
echo "$folder/nft"
