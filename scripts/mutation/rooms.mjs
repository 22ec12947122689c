// Which rooms of src are broken on purpose, and which tests concern them.
const unit = (...rooms) => rooms.map((room) => `test/unit/${room}/**/*.test.ts`);
const one = (...names) => names.map((name) => `test/unit/${name}.test.ts`);
const property = (...names) => names.map((name) => `test/property/${name}.test.ts`);

/**
 * Milliseconds for a quick test of a room where under many mutants no end ever comes of what is waited for. The longest takes one
 * second on a busy machine.
 */
const PATIENCE = 10_000;

/** A sub-room of the management interface, whose tests are its own, and those that take long. */
const management = (name, ...slow) => ({
  [`management/${name}`]: {
    folders: [`management/${name}`],
    tests: unit(`management/${name}`),
    slow,
  },
});

/** The relay's quick tests: the others have hundreds of clients. */
const RELAY = [
  'agent',
  'blocks',
  'bytes',
  'clients',
  'commands',
  'parts',
  'passwords',
  'places',
  'questions',
  'relay-client',
  'relay-client-password',
  'replies',
  'rights',
  'secrets',
  'stalled',
];

/** The quick tests of the audit log: others cut it at each byte, or fill a disk. */
const AUDIT = [
  ...[
    'adopted-log',
    'failed-looks',
    'folder-sync',
    'further-files',
    'head-record',
    'left-files',
    'long-names',
    'other-log',
  ],
  ...['audit', 'audit-log', 'log-file', 'losses', 'power-cut', 'request-record', 'signing-key', 'switched-log'],
  ...['open-log', 'tampered-log', 'told', 'trail', 'unsynced', 'writes'],
];

/**
 * A room's folders of src, and its tests: all that need neither a build, nor daemons, nor modules. Those that take long are asked of
 * what the others let live.
 */
export const ROOMS = {
  signing: {
    folders: ['signing'],
    tests: ['test/unit/signing/*.test.ts'],
    slow: [
      ...unit('signing/tls', 'signing/wycheproof'),
      ...property('digest-info', 'ecdsa-der', 'round-trip', 'ecdsa'),
    ],
    // its files keep nothing that another one would see: without a new place for each, a mutant takes half the time
    isolate: false,
    // cases a property: its curves are many, and their arithmetic is slow
    runs: 1,
  },
  'signing/tls': {
    folders: ['signing/tls'],
    tests: unit('signing/tls', 'agent/policy'),
    slow: property('handshakes'),
  },
  keys: {
    folders: ['keys'],
    tests: [
      ...unit('keys'),
      ...one(
        'exec/program-secret',
        'agent/certificate-supply',
        'agent/live-key',
        'agent/patient-opening',
        'check/pin-state',
      ),
    ],
  },
  'agent/policy': { folders: ['agent/policy'], tests: [...unit('agent/policy'), ...one('agent/agent-policy')] },
  'pkcs11/pins': {
    folders: ['pkcs11/pins'],
    tests: unit('pkcs11/pins', 'pkcs11/token'),
    slow: one('exec/program-secret'),
  },
  'pkcs11/token': {
    folders: ['pkcs11/token'],
    tests: unit('pkcs11/token'),
    slow: unit('pkcs11/key', 'pkcs11/inventory'),
  },
  'agent/audit': {
    folders: ['agent/audit'],
    tests: one(...AUDIT.map((name) => `agent/audit/${name}`)),
    slow: [...unit('agent/audit'), ...property('audit/reloads')],
    patience: PATIENCE,
  },
  audit: {
    folders: ['audit'],
    tests: one('audit/verifier', 'audit/findings', 'audit/gaps', 'audit/line', 'audit/places', 'audit/shown'),
    slow: one('audit/memory'),
    isolate: false,
  },
  ...management('wire', ...property('management/fuzz')),
  ...management('notifications', ...property('management/notifications')),
  ...management('commands', ...property('management/replies')),
  'management/connection': {
    folders: ['management/connection'],
    // what fills buffers takes as long as all others together
    tests: ['test/unit/management/connection/!(limits).test.ts'],
    slow: [...one('management/connection/limits'), ...unit('management/client')],
    isolate: false,
    patience: PATIENCE,
  },
  'management/client': { ...management('client')['management/client'], patience: PATIENCE },
  'management/relay': {
    folders: ['management/relay'],
    tests: one(...RELAY.map((name) => `management/relay/${name}`)),
    slow: [...unit('management/relay'), ...property('management/relay-smuggling')],
    isolate: false,
    // a client that is never told anything waits for it: most mutants would take as long
    patience: 3_000,
  },
  'management/sockets': {
    ...management('sockets', ...property('management/path-watch'))['management/sockets'],
    patience: PATIENCE,
  },
};
