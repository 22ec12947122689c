import { CHECK, type OpenVpnLine } from './explanation.ts';

/** Lines of OpenVPN from its start until the handshake, in the order in which it comes to them. */
export const OPENVPN_START: readonly OpenVpnLine[] = [
  {
    text: 'Unrecognized option or missing or extra parameter(s)',
    log: 'client',
    what: 'OpenVPN does not know an option of its configuration, and does not start.',
    causes: [
      {
        why: 'It is of another release, or built without PKCS#11 or the management interface.',
        cure: 'openvpn --version names the release and what it was built with.',
      },
    ],
  },
  {
    text: '--key and --management-external-key are mutually exclusive',
    log: 'client',
    what: 'The .ovpn has both a key of its own and management-external-key.',
    causes: [{ why: "'key', or a <key> block, was left in it.", cure: "Remove it: the key is pksigd's." }],
  },
  {
    text: '--cert and --management-external-cert are mutually exclusive',
    log: 'client',
    what: 'The .ovpn names the certificate twice.',
    causes: [
      {
        why: "'cert' is in it, and management-external-cert.",
        cure: "Keep one: 'cert FILE' if there is a file, management-external-cert if the certificate is on the token.",
      },
    ],
  },
  {
    text: '--management-external-cert must be used with --management-external-key',
    log: 'client',
    what: 'The certificate comes from pksigd, and the key does not.',
    causes: [{ why: 'management-external-key is missing.', cure: CHECK }],
  },
  {
    text: 'Parameter --management-external-key cannot be used when --pkcs11-provider is also specified',
    log: 'client',
    what: "OpenVPN's own PKCS#11 is still switched on.",
    causes: [
      {
        why: 'pkcs11-providers and pkcs11-id were left in the .ovpn.',
        cure: 'Remove both; pksigd takes what pkcs11-id names as --key, with --module.',
      },
    ],
  },
  {
    text: '--management is not specified, however one or more options which modify the behavior of --management were specified',
    log: 'client',
    what: 'OpenVPN has no management interface.',
    causes: [{ why: 'The management line is missing.', cure: "Write 'management /run/openvpn/NAME.sock unix'." }],
  },
  {
    text: 'Unknown management-external-key flag',
    log: 'client',
    what: 'This release of OpenVPN does not know a word behind management-external-key.',
    causes: [{ why: "OpenVPN 2.5 knows 'nopadding' and 'pkcs1' only; 'pss' and 'digest' came with 2.6.", cure: CHECK }],
  },
  {
    text: 'requires the nopadding argument',
    log: 'client',
    only: 'OpenVPN 2.5, and 2.6 with OpenSSL 1.1.1',
    what: 'OpenVPN pads by itself, and wants to be told that it may.',
    causes: [
      {
        why: "'nopadding' is missing behind management-external-key.",
        cure: "Write 'management-external-key nopadding pkcs1' (2.6: 'nopadding pkcs1 pss').",
      },
    ],
  },
  {
    text: 'RSA padding mode not supported by management-client',
    log: 'client',
    what: 'The server wants RSA-PSS (all with TLS 1.3 do), and the .ovpn does not let OpenVPN ask for it. pksigd is never asked: its log has no request.',
    causes: [
      {
        why: "'pss' is missing behind management-external-key.",
        cure: "Write 'management-external-key nopadding pkcs1 pss'.",
      },
    ],
  },
  {
    text: 'Cannot initialize mamagement-external-key',
    log: 'client',
    what: 'OpenVPN could not set the key up (the line is really spelled so).',
    causes: [
      {
        why: 'The certificate can not be read, or none came from the management client.',
        cure: 'See the line before it. ' + CHECK,
      },
      {
        why: 'The certificate is of a kind that OpenVPN takes no key from outside for: Ed25519 before 2.6, EC before 2.5, RSA-PSS.',
        cure: CHECK,
      },
    ],
  },
  {
    text: 'Need hold release from management interface, waiting',
    log: 'client',
    what: 'OpenVPN waits for pksigd, as management-hold says it shall.',
    causes: [
      {
        why: 'pksigd does not run, or does not reach the socket.',
        cure: 'Start it; pksigd status and its log say what it waits for.',
      },
      {
        why: 'The key is not ready: a PIN is waited for, or the token is away.',
        cure: 'See its log for what is missing.',
      },
      { why: 'Another management client has the only seat.', cure: 'End it, or let it in behind pksigd by --relay.' },
    ],
  },
  {
    text: 'Need password(s) from management interface, waiting',
    log: 'client',
    what: 'OpenVPN wants username and password, or a passphrase, from its management client, and that is pksigd.',
    causes: [
      {
        why: 'auth-user-pass and management-query-passwords are in the .ovpn.',
        cure: 'Tell pksigd where they are (--auth-user-pass, --askpass), or let a client in that asks a person (--relay … --relay-allow operate): docs/QUESTIONS.md.',
      },
    ],
  },
  {
    text: 'Need information from management interface, waiting',
    log: 'client',
    what: 'OpenVPN waits for an answer: a server to connect to, a proxy, or the certificate.',
    causes: [
      {
        why: 'management-query-remote, -proxy or management-external-cert is in the .ovpn.',
        cure: 'Say the answer (--answer-remote, --answer-proxy, --cert): docs/QUESTIONS.md.',
      },
    ],
  },
  {
    text: "doesn't match required value (%d) as given by --management-client-user",
    log: 'client',
    what: 'OpenVPN turned pksigd away: it is of another user than the .ovpn says.',
    causes: [
      {
        why: 'management-client-user names somebody else.',
        cure: 'Name the user that pksigd runs as, or run it as that one.',
      },
    ],
  },
  {
    text: "doesn't match required value (%d) as given by --management-client-group",
    log: 'client',
    what: 'OpenVPN turned pksigd away: it is of another group than the .ovpn says.',
    causes: [
      {
        why: 'Its main group counts, not its further ones.',
        cure: 'Give the unit Group=, or use management-client-user.',
      },
    ],
  },
  {
    text: 'MAN: client connection rejected after',
    log: 'client',
    what: 'Too many wrong management passwords.',
    causes: [{ why: 'The password files differ.', cure: 'pksigd explain ERR_MANAGEMENT_PASSWORD' }],
  },
  {
    text: 'MANAGEMENT: connect to unix socket %s failed',
    log: 'client',
    what: 'With management-client OpenVPN connects to pksigd, and gave up at once.',
    causes: [
      {
        why: 'pksigd was not there yet.',
        cure: 'Start it first (After= in the unit), or leave management-client out: then pksigd connects, and waits.',
      },
    ],
  },
  {
    text: 'Error: private key password verification failed',
    log: 'client',
    what: "OpenVPN's own key file or PKCS#11 token did not take the password.",
    causes: [
      {
        why: 'The .ovpn still uses them.',
        cure: "With management-external-key OpenVPN needs no PIN: remove 'key', 'pkcs12', 'pkcs11-id'.",
      },
    ],
  },
  {
    text: "can't ask for '%s'.  If you used --daemon",
    log: 'client',
    what: 'OpenVPN wants a password, and has no terminal.',
    causes: [
      {
        why: "Its own PKCS#11 wants the token's PIN.",
        cure: 'Hand the key to pksigd, which takes the PIN from --pin-source.',
      },
      {
        why: 'auth-user-pass without a file.',
        cure: 'Add management-query-passwords, and tell pksigd --auth-user-pass.',
      },
    ],
  },
  {
    text: 'PKCS#11: Cannot get certificate',
    log: 'client',
    what: "OpenVPN's own PKCS#11 does not find what pkcs11-id names.",
    causes: [
      {
        why: 'Serial number or label changed with a new card or another release of the module.',
        cure: 'pksigd takes a URI that leaves them out, or --select: docs/CERTIFICATES.md.',
      },
    ],
  },
  {
    text: 'Cannot load certificate "%s" using PKCS#11 interface',
    log: 'client',
    what: "OpenVPN's own PKCS#11 can not use the token.",
    causes: [
      {
        why: 'The token is away, locked, or its module can not be loaded by the daemon.',
        cure: 'pksigd keys shows what is there; with pksigd the module runs in a process of its own.',
      },
    ],
  },
];
