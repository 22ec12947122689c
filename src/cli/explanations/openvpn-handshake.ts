import { CHECK, type OpenVpnLine } from './explanation.ts';

const SERVER_LOG = "The server's log says why.";

/** Lines of OpenVPN, and of the TLS library inside it, from the handshake on. */
export const OPENVPN_HANDSHAKE: readonly OpenVpnLine[] = [
  {
    text: 'TLS Error: TLS object -> incoming plaintext read error',
    log: 'client',
    what: 'The handshake failed. The lines before it say why.',
    causes: [
      {
        why: 'The signature could not be made: pksigd answered with an empty one.',
        cure: 'Its log has the reason and a code at the same time.',
      },
      { why: "'pss' is missing behind management-external-key.", cure: CHECK },
      { why: "The server's certificate did not verify.", cure: "See 'VERIFY ERROR'." },
    ],
  },
  {
    text: 'VERIFY ERROR',
    log: 'client',
    what: 'A certificate of the other end did not verify. pksigd has no part in this.',
    causes: [
      {
        why: "In the client's log: 'ca' is another authority's, or the clock is wrong.",
        cure: "Get the server's CA; set the clock.",
      },
      {
        why: "In the server's log: the client's certificate has expired, was revoked, or its intermediate did not come along.",
        cure: 'pksigd check shows dates; --cert takes a file with the whole chain.',
      },
    ],
  },
  {
    text: 'Certificate does not have key usage extension',
    log: 'client',
    what: "'remote-cert-tls' wants to see what the other end's certificate is for, and it does not say. In the server's log it is the client's.",
    causes: [
      {
        why: 'It was issued without keyUsage and extendedKeyUsage.',
        cure: "Have it issued again (easy-rsa: build-server-full, sign-req client); pksigd check warns of the client's.",
      },
    ],
  },
  {
    text: 'TLS Error: TLS key negotiation failed to occur within',
    log: 'client',
    what: 'Nothing came of the handshake within hand-window (60 seconds).',
    causes: [
      {
        why: 'Nothing comes back from the server: address, port, firewall, tls-auth or tls-crypt.',
        cure: 'See whether the server logs anything. pksigd has no part in this if its log has no request.',
      },
      {
        why: 'The server dropped the client without a word, as over UDP it does where the signature or certificate is wrong.',
        cure: SERVER_LOG,
      },
      { why: 'The signature took too long: a touch, a PIN, a slow reader.', cure: "See durationMs in pksigd's log." },
      {
        why: 'The client was restarted within a handshake (SIGUSR1), and over UDP a peer that serves one client (tls-server without server) still waits for the end of the first.',
        cure: 'It takes the next one when its hand-window is over; a server, or TCP, does so at once.',
      },
    ],
  },
  {
    text: 'TLS Error: TLS handshake failed',
    log: 'client',
    what: 'The handshake failed. The lines before it say why.',
    causes: [{ why: 'See the line before it.', cure: "pksigd explain 'LINE'" }],
  },
  {
    text: 'bad signature',
    log: 'server',
    what: "The client's signature does not verify.",
    causes: [
      {
        why: 'No signature leaves pksigd unverified, so the certificate that the client sends is of another key.',
        cure: "Compare 'cert' in the .ovpn by pksigd check.",
      },
    ],
  },
  {
    text: 'certificate has expired',
    log: 'server',
    what: 'A certificate is past its end.',
    causes: [
      {
        why: "It is the client's.",
        cure: 'pksigd check says when it ended; pksigd enrol --renew asks for the next one.',
      },
    ],
  },
  {
    text: 'unable to get local issuer certificate',
    log: 'server',
    what: 'The chain of a certificate has a gap.',
    causes: [
      {
        why: "The client's intermediate certificate does not come along.",
        cure: "Put it behind the client's in the file of cert or --cert, or on the token; docs/CERTIFICATES.md.",
      },
    ],
  },
  {
    text: 'no shared signature algorithms',
    log: 'server',
    what: 'Client and server have no kind of signature in common.',
    causes: [
      {
        why: 'The key is on an unusual curve.',
        cure: "Both ends need 'tls-groups' with its curve in it: pksigd check says so.",
      },
      {
        why: 'The server refuses PKCS #1 v1.5 or SHA-1.',
        cure: "Let the client sign with PSS: 'management-external-key nopadding pkcs1 pss'.",
      },
    ],
  },
  {
    text: 'no suitable signature algorithm',
    log: 'client',
    what: 'The key can not sign in any way that the server takes.',
    causes: [
      { why: "'pss' is missing behind management-external-key, or 'tls-version-max' keeps TLS 1.3 away.", cure: CHECK },
    ],
  },
  {
    text: 'ee key too small',
    log: 'client',
    what: "The key is shorter than OpenSSL's security level allows.",
    causes: [
      {
        why: 'RSA with 1024 bits.',
        cure: 'Make a new key: pksigd enrol --renew --new-key. tls-cert-profile insecure lets it pass until then.',
      },
    ],
  },
  {
    text: 'AUTH_FAILED',
    log: 'client',
    what: 'The server refused username and password; key and certificate were right.',
    causes: [{ why: 'They are wrong, or a one-time code is wanted.', cure: 'pksigd explain ERR_ANSWER_REFUSED' }],
  },
  {
    text: 'ERROR: Cannot open TUN/TAP dev',
    log: 'client',
    what: 'The tunnel was connected, and has no network device. pksigd has no part in this.',
    causes: [
      {
        why: 'OpenVPN does not run as root, or the container has no /dev/net/tun.',
        cure: 'Start it as root; in a container --cap-add NET_ADMIN --device /dev/net/tun.',
      },
    ],
  },
];
