/** The rooms of docs/ARCHITECTURE.md: imports run one way, and from outside only through a room's door. */

/** What any room may import: files beside the rooms. */
const COMMON =
  '^src/(clock|errors|lines|listeners|log-level|nearest|own-user|promises|read-file-limited|secret|shell-command|signals)\\.ts$';

/** A room, the rooms that it may import (a room's name stands for its files, not for its sub-rooms), and its doors. */
const ROOMS = {
  signing: [],
  'signing/tls': ['signing'],
  certificates: ['signing'],
  audit: [],
  disk: [],

  'management/wire': [],
  'management/notifications': ['management/wire'],
  'management/commands': ['management/wire', 'management/notifications'],
  'management/sockets': [],
  'management/connection': ['management/wire', 'management/notifications', 'management/commands', 'management/sockets'],
  'management/client': [
    'management/wire',
    'management/notifications',
    'management/commands',
    'management/sockets',
    'management/connection',
  ],
  'management/relay': [
    'management/wire',
    'management/notifications',
    'management/commands',
    'management/sockets',
    'management/connection',
    'management/client',
  ],
  management: [
    'management/wire',
    'management/notifications',
    'management/commands',
    'management/sockets',
    'management/connection',
    'management/client',
    'management/relay',
  ],

  'pkcs11/host/process': ['pkcs11', 'pkcs11/host'],
  'pkcs11/host': ['pkcs11'],
  'pkcs11/modules': ['pkcs11'],
  'pkcs11/pins': ['pkcs11', 'pkcs11/host', 'disk'],
  'pkcs11/token': ['pkcs11', 'pkcs11/host', 'pkcs11/modules', 'pkcs11/pins'],
  'pkcs11/key': ['pkcs11', 'pkcs11/host', 'pkcs11/modules', 'pkcs11/pins', 'pkcs11/token', 'certificates', 'signing'],
  'pkcs11/inventory': [
    'pkcs11',
    'pkcs11/host',
    'pkcs11/modules',
    'pkcs11/pins',
    'pkcs11/token',
    'pkcs11/key',
    'certificates',
    'signing',
  ],
  'pkcs11/enrolment': ['pkcs11', 'pkcs11/host', 'pkcs11/token', 'pkcs11/key', 'signing'],
  pkcs11: [
    'pkcs11/host',
    'pkcs11/modules',
    'pkcs11/pins',
    'pkcs11/token',
    'pkcs11/key',
    'pkcs11/inventory',
    'pkcs11/enrolment',
  ],

  keyfile: ['certificates', 'signing'],
  exec: ['signing', 'disk'],
  keys: ['pkcs11', 'keyfile', 'exec', 'certificates', 'signing'],
  config: ['certificates', 'management', 'keys', 'keyfile', 'signing'],
  'config/file': ['config', 'disk', 'management', 'keys', 'exec', 'signing'],
  'agent/questions': ['agent', 'config', 'management'],
  'agent/policy': ['config', 'signing', 'signing/tls'],
  'agent/audit': ['audit', 'disk', 'config'],
  agent: [
    'certificates',
    'agent/policy',
    'agent/questions',
    'agent/audit',
    'audit',
    'config',
    'management',
    'keys',
    'pkcs11',
    'keyfile',
    'exec',
    'signing',
    'signing/tls',
  ],
  telemetry: ['agent', 'exec', 'pkcs11'],
  status: ['agent'],
  control: ['management'],
  metrics: ['status', 'agent', 'management', 'signing'],
  check: ['certificates', 'management', 'keys', 'pkcs11', 'keyfile', 'exec', 'signing', 'telemetry'],
  enrol: ['certificates', 'check', 'disk', 'keys', 'pkcs11', 'keyfile', 'signing'],
  'cli/explanations': ['cli', 'telemetry', 'agent'],
  testing: ['management'],
  cli: [
    'cli/explanations',
    'enrol',
    'certificates',
    'audit',
    'agent/audit',
    'agent/policy',
    'disk',
    'status',
    'control',
    'metrics',
    'check',
    'agent',
    'config',
    'config/file',
    'telemetry',
    'management',
    'keys',
    'pkcs11',
    'keyfile',
    'signing',
  ],
};

/** From outside, these are entered by their doors only. */
const DOORS = {
  exec: '^src/exec/index\\.ts$',
  management: '^src/management/(index|internal)\\.ts$',
  pkcs11: '^src/pkcs11/(index|early-host)\\.ts$',
};

/** Packages that the build puts into the command: development dependencies to npm. */
const BUNDLED = 'node_modules/(commander|pino|prom-client|toml-eslint-parser|valibot)/';

const files = (room) => `^src/${room}/[^/]+\\.ts$`;

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: '\\.d\\.ts$' }, to: {} },
    {
      name: 'every-room-has-a-rule',
      severity: 'error',
      from: { path: '^src/.*/', pathNot: Object.keys(ROOMS).map(files) },
      to: {},
    },
    ...Object.entries(ROOMS).map(([room, others]) => ({
      name: `${room.replaceAll('/', '-')}-imports`,
      comment: `${room} imports only: ${[room, ...others].join(', ')}`,
      severity: 'error',
      from: { path: files(room) },
      to: { path: '^src/', pathNot: [...[room, ...others].map(files), COMMON] },
    })),
    ...Object.entries(DOORS).map(([room, door]) => ({
      name: `${room}-by-its-door`,
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/${room}/` },
      to: { path: `^src/${room}/`, pathNot: door },
    })),
    ...Object.entries(DOORS).map(([room, door]) => ({
      name: `${room}-not-through-its-own-door`,
      severity: 'error',
      from: { path: `^src/${room}/`, pathNot: door },
      to: { path: door },
    })),
    {
      name: 'pkcs11js-in-one-file',
      comment: 'the vendor module lives in its own process: nothing but the module host may load it',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pkcs11/host/process/cryptoki\\.ts$' },
      to: { path: 'pkcs11js' },
    },
    {
      name: 'no-import-of-the-host-process',
      comment: 'the module host is a program of its own, started with its path',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pkcs11/host/process/' },
      to: { path: '^src/pkcs11/host/process/' },
    },
    {
      name: 'no-dev-dependencies',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        pathNot: BUNDLED,
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'bundled-packages-in-the-command-only',
      comment: 'they are in dist/program, and not installed: the library can not have them',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|config/file|metrics|telemetry)/' },
      to: { path: BUNDLED },
    },
    {
      name: 'nothing-of-the-command-in-the-library',
      severity: 'error',
      from: { path: '^src/(index|management/index)\\.ts$' },
      to: { path: '^src/(cli|config/file|metrics|telemetry)/', reachable: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
