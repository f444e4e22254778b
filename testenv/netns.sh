#!/bin/bash
# Nodes in network namespaces on one bridge, and faults between them.
#
#   netns.sh up N          make nodes 1..N; node i has 10.77.0.i and fd77::i
#   netns.sh down          remove them
#   netns.sh addr I        print node I's address
#   netns.sh exec I CMD... run CMD in node I's network (and nothing else of it)
#   netns.sh cut A B       nothing passes between A and B
#   netns.sh cut1 A B      nothing passes from A to B; B to A passes
#   netns.sh isolate A     nothing passes between A and any other node
#   netns.sh loss P [A B]  lose P percent: between A and B, or everywhere
#   netns.sh link A up|down  the node's cable
#   netns.sh heal          end every cut and loss, plug in every cable
#   netns.sh probe A B     does a datagram from A reach B? (exit code 0: yes)
#   netns.sh selftest      make 3 nodes, try all of the above, remove them
#
# Every fault is verified by probes before the command returns 0: a fault that
# did not happen proves nothing. P in the environment names the set of nodes,
# so that several sets can live side by side. Needs root, ip, nft, nsenter.
set -euo pipefail

P=${P:-gc}
HUB=$P-hub
PORT=9 # discard: nobody listens there, the kernel counts what arrives

die() { echo "netns.sh: $*" >&2; exit 1; }
ns() { echo "$P-n$1"; }
addr() { echo "10.77.0.$1"; }

# Only the network is entered: ip netns exec would mount another /sys and hide
# the control groups from the command.
inside() { local n=$1; shift; nsenter --net="/run/netns/$n" -- "$@"; }
hub() { inside "$HUB" "$@"; }

nodes() { ip netns list | awk -v p="$P-n" 'index($1, p) == 1 && substr($1, length(p)+1) ~ /^[0-9]+$/ { print substr($1, length(p)+1) }' | sort -n; }

known() {
  local i
  for i in "$@"; do
    [[ $i =~ ^[0-9]+$ && -e /run/netns/$(ns "$i") ]] || die "no node $i in set $P: netns.sh up N makes nodes 1 to N"
  done
}

up() {
  local n=${1:-3} i
  [[ $n =~ ^[0-9]+$ && $n -ge 1 && $n -le 250 ]] || die "up $n: give 1 to 250 nodes"
  [[ ! -e /run/netns/$HUB ]] || die "set $P is up already: netns.sh down removes it"
  trap down EXIT # of a half-made set nothing stays
  ip netns add "$HUB"
  ip -n "$HUB" link add br0 type bridge
  ip -n "$HUB" link set br0 up
  # Neighbour discovery passes a cut, so that a one-way cut stays one-way.
  hub nft -f - <<'NFT'
table bridge faults {
  set cuts { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ether type arp accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname . oifname @cuts drop
    jump loss
  }
  chain loss { }
}
NFT
  for ((i = 1; i <= n; i++)); do
    ip netns add "$(ns $i)"
    ip link add eth0 netns "$(ns $i)" type veth peer name "p$i" netns "$HUB"
    ip -n "$HUB" link set "p$i" master br0 up
    ip -n "$(ns $i)" link set lo up
    ip -n "$(ns $i)" link set eth0 up
    ip -n "$(ns $i)" addr add "$(addr $i)/24" dev eth0
    # No IPv6 where the machine has none.
    ip -n "$(ns $i)" -6 addr add "fd77::$i/64" dev eth0 nodad 2>/dev/null || true
    inside "$(ns $i)" nft -f - <<NFT
table inet probe {
  set seen { type ipv4_addr; counter; flags dynamic; size 256; }
  chain input {
    type filter hook input priority -300; policy accept;
    udp dport $PORT update @seen { ip saddr }
  }
}
NFT
  done
  for ((i = 2; i <= n; i++)); do
    passes 1 "$i" || die "up: node 1 does not reach node $i"
    passes "$i" 1 || die "up: node $i does not reach node 1"
  done
  trap - EXIT
}

down() {
  trap - EXIT
  local i
  for i in $(nodes); do ip netns del "$(ns "$i")"; done
  [[ ! -e /run/netns/$HUB ]] || ip netns del "$HUB"
}

# seen A B: how many probe datagrams of A have reached B.
seen() {
  inside "$(ns "$2")" nft list set inet probe seen |
    awk -v a="$(addr "$1")" '{ gsub(/[{},=]/, " "); for (i = 1; i < NF; i++) if ($i == a && $(i+1) == "counter") n = $(i+3) } END { print n + 0 }'
}

# shoot A B K: send K datagrams from A to B. A closed port answers by an error,
# which the next send reports: not of interest.
shoot() {
  inside "$(ns "$1")" bash -c 'for ((k = 0; k < $2; k++)); do echo p 2>/dev/null >"/dev/udp/$0/$1"; done 2>/dev/null; true' "$(addr "$2")" "$PORT" "$3"
}

# passes A B: a datagram from A reaches B; tries for three seconds.
passes() {
  local before k
  before=$(seen "$1" "$2")
  for ((k = 0; k < 30; k++)); do
    shoot "$1" "$2" 1
    [[ $(seen "$1" "$2") -eq $before ]] || return 0
    sleep 0.1
  done
  return 1
}

# blocked A B: of five datagrams from A none reaches B. B is reached over the
# same bridge within microseconds; 200 ms are plenty.
blocked() {
  local before
  before=$(seen "$1" "$2")
  shoot "$1" "$2" 5
  sleep 0.2
  [[ $(seen "$1" "$2") -eq $before ]]
}

add_cut() { hub nft add element bridge faults cuts "{ \"p$1\" . \"p$2\" }"; }

cut() {
  known "$1" "$2"
  add_cut "$1" "$2"
  add_cut "$2" "$1"
  blocked "$1" "$2" && blocked "$2" "$1" || die "cut $1 $2: datagrams still pass"
}

cut1() {
  known "$1" "$2"
  local back=no
  ! passes_now "$2" "$1" || back=yes
  add_cut "$1" "$2"
  blocked "$1" "$2" || die "cut1 $1 $2: datagrams still pass"
  [[ $back == no ]] || passes "$2" "$1" || die "cut1 $1 $2: the way back is closed too"
}

passes_now() { ! blocked "$1" "$2"; }

isolate() {
  known "$1"
  local i
  for i in $(nodes); do [[ $i == "$1" ]] || cut "$1" "$i"; done
}

loss() {
  local p=$1 where="" n got a=${2:-} b=${3:-}
  [[ $p =~ ^[0-9]+$ && $p -ge 1 && $p -le 99 ]] || die "loss $p: give 1 to 99 percent"
  if [[ -n $a ]]; then
    known "$a" "$b"
    hub nft add rule bridge faults loss iifname "p$a" oifname "p$b" numgen random mod 100 "<" "$p" drop
    hub nft add rule bridge faults loss iifname "p$b" oifname "p$a" numgen random mod 100 "<" "$p" drop
  else
    a=$(nodes | sed -n 1p) b=$(nodes | sed -n 2p)
    hub nft add rule bridge faults loss numgen random mod 100 "<" "$p" drop
  fi
  # 400 datagrams: the share that is lost is p with a deviation of at most 2.5
  # points; 15 points are six of them.
  n=400
  got=$(seen "$a" "$b")
  shoot "$a" "$b" $n
  sleep 0.2
  got=$(($(seen "$a" "$b") - got))
  where=$(((n - got) * 100 / n))
  ((where >= p - 15 && where <= p + 15 && got < n)) || die "loss $p: $where percent of $n datagrams from $a to $b were lost"
}

link() {
  known "$1"
  local other
  other=$(nodes | awk -v i="$1" '$1 != i' | head -1)
  ip -n "$HUB" link set "p$1" "$2"
  [[ -n $other ]] || return 0
  case $2 in
    up) passes "$1" "$other" || die "link $1 up: node $1 does not reach node $other" ;;
    down) blocked "$1" "$other" || die "link $1 down: datagrams still pass" ;;
  esac
}

heal() {
  local i first
  hub nft flush set bridge faults cuts
  hub nft flush chain bridge faults loss
  for i in $(nodes); do ip -n "$HUB" link set "p$i" up; done
  first=$(nodes | sed -n 1p)
  for i in $(nodes); do
    [[ $i == "$first" ]] || { passes "$first" "$i" && passes "$i" "$first"; } || die "heal: node $first and node $i do not reach each other"
  done
}

selftest() {
  P=$P-selftest$$
  HUB=$P-hub
  up 3
  trap down EXIT
  [[ $(inside "$(ns 2)" ip -4 -br addr show eth0) == *"$(addr 2)/24"* ]] || die "selftest: node 2 has no address"
  cut1 1 2
  passes 2 1 || die "selftest: cut1 1 2 closed 2 to 1"
  passes 1 3 || die "selftest: cut1 1 2 closed 1 to 3"
  heal
  cut 1 2
  blocked 2 1 || die "selftest: cut 1 2 left 2 to 1 open"
  passes 1 3 || die "selftest: cut 1 2 closed 1 to 3"
  isolate 3
  blocked 1 3 && blocked 3 2 || die "selftest: isolate 3 left a way"
  heal
  loss 40
  heal
  loss 60 1 2
  heal
  link 2 down
  link 2 up
  # The probes must be able to say no: a fault that is not there is reported.
  if (blocked 1 2); then die "selftest: the probe calls an open way blocked"; fi
  cut 1 2
  if passes_now 1 2; then die "selftest: the probe calls a cut way open"; fi
  heal
  echo "netns.sh: all faults happen and end"
}

[[ $# -ge 1 ]] || { sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2; }
verb=$1
shift
case $verb in
  up) up "$@" ;;
  down) down ;;
  addr) addr "${1:?node}" ;;
  exec) known "${1:?node}"; n=$(ns "$1"); shift; exec nsenter --net="/run/netns/$n" -- "$@" ;;
  cut) cut "${1:?node}" "${2:?node}" ;;
  cut1) cut1 "${1:?node}" "${2:?node}" ;;
  isolate) isolate "${1:?node}" ;;
  loss) loss "${1:?percent}" "${@:2}" ;;
  link) link "${1:?node}" "${2:?up or down}" ;;
  heal) heal ;;
  probe) known "${1:?node}" "${2:?node}"; passes_now "$1" "$2" ;;
  selftest) selftest ;;
  *) die "$verb: no such command; without one the list is printed" ;;
esac
