/** The rooms of docs/ARCHITECTURE.md: imports run one way. */
const may = (room, ...others) => ({
  name: `${room}-imports`,
  comment: `${room} imports only: ${[room, ...others].join(', ')}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: {
    path: '^src/',
    pathNot: [
      ...[room, ...others].map((other) => `^src/${other}/`),
      '^src/(errors|read-file-limited|secret|signals)\\.ts$',
    ],
  },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: '\\.d\\.ts$' }, to: {} },
    may('signing'),
    may('management'),
    may('pkcs11', 'signing'),
    may('keyfile', 'signing'),
    may('config', 'management', 'pkcs11', 'keyfile', 'signing'),
    may('telemetry'),
    may('agent', 'management', 'pkcs11', 'keyfile', 'signing', 'telemetry'),
    {
      name: 'no-import-of-cli',
      severity: 'error',
      from: { pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'pkcs11js-in-one-file',
      comment: 'the vendor module lives in its own process: nothing but the module host may load it',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pkcs11/host/cryptoki\\.ts$' },
      to: { path: 'pkcs11js' },
    },
    {
      name: 'no-import-of-host',
      comment: 'the module host is a program of its own, started with its path',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pkcs11/host/' },
      to: { path: '^src/pkcs11/host/' },
    },
    {
      name: 'no-dev-dependencies',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
