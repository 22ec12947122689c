# The root in which a page's commands run: this machine's, but what they write to /etc, /var, /run and home is seen by nobody else
# and goes with them. In mount, network and PID namespaces of its own. $PAGE is a scratch folder, $ROOT the repository.
set -euo pipefail
mkdir "$PAGE/layers"
mount -t tmpfs tmpfs "$PAGE/layers"
for folder in etc var usr/local; do
  mkdir -p "$PAGE/layers/$folder/upper" "$PAGE/layers/$folder/work"
  mount -t overlay overlay "/$folder" \
    -o "lowerdir=/$folder,upperdir=$PAGE/layers/$folder/upper,workdir=$PAGE/layers/$folder/work"
done
mount -t tmpfs tmpfs /run
ip link set lo up
echo '127.0.0.1 vpn.example.com' >>/etc/hosts
export HOME=$PAGE/home XDG_RUNTIME_DIR=$PAGE/runtime LC_ALL=C.UTF-8
unset SOFTHSM2_CONF NOTIFY_SOCKET CREDENTIALS_DIRECTORY STATE_DIRECTORY RUNTIME_DIRECTORY
mkdir -p "$HOME" /run/openvpn /etc/openvpn/client /usr/local/bin
mkdir -m 700 "$XDG_RUNTIME_DIR"
PATH=/usr/local/bin:$PATH:/usr/sbin:/sbin
ln -s "$ROOT/bin/pksigd.cjs" /usr/local/bin/pksigd
background=0
umask 022
cd /etc/openvpn/client

# await TEXT [FILE]: until TEXT stands in a file, by default what the last command in the background writes
await() {
  local file=${2:-$PAGE/background-$background} tries
  for ((tries = 0; tries < 600; tries++)); do
    if grep -qF -e "$1" "$file" 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  echo "no '$1' in a minute:" >&2
  tail -n 20 "$PAGE"/background-* "$file" >&2
  return 1
}

# vpn_ca: a certificate authority of the VPN, and ca.crt where we are
vpn_ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PAGE/ca.key" -out "$PAGE/ca.crt" \
    -subj '/CN=Example VPN CA' -days 30 2>/dev/null
  cp "$PAGE/ca.crt" ca.crt
}

# vpn_sign REQUEST CERTIFICATE: what the authority does with a request
vpn_sign() {
  openssl x509 -req -in "$1" -CA "$PAGE/ca.crt" -CAkey "$PAGE/ca.key" -days 90 -copy_extensions copy \
    -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=%s\n' "${3:-clientAuth}") -out "$2" 2>/dev/null
}

# vpn_server [OPTIONS]: the VPN, at vpn.example.com
vpn_server() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PAGE/server.key" -subj '/CN=vpn.example.com' \
    -out "$PAGE/server.csr" 2>/dev/null
  vpn_sign "$PAGE/server.csr" "$PAGE/server.crt" serverAuth
  openvpn --dev tun --server 10.8.0.0 255.255.255.0 --topology subnet --dh none --local 127.0.0.1 --ca "$PAGE/ca.crt" \
    --cert "$PAGE/server.crt" --key "$PAGE/server.key" --keepalive 10 60 --duplicate-cn --verb 3 "$@" >"$PAGE/server.log" 2>&1 &
  await 'Initialization Sequence Completed' "$PAGE/server.log"
}
